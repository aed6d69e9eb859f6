"""The web gateway: the chat page, Netron's pages and downloads under one origin.

    session     who may enter: the token and the cookie derived from it
    guard       what every request meets first: host, origin, session, headers
    body        how fast a request's body must arrive
    login       the page that asks for the token
    pages       small whole pages: login and errors
    backend     connections to the gRPC server, one per language
    viewer      /viz/{id}/…   relays Graphs.GetViewerFile
    download    /export/{id}/{format}   streams Models.ExportModel
    answers     yes and no, as people type them at a plan
    upload      /upload   takes a file from the browser
    places      places for files while they are sent on
    exchange    one thing said, and all that came of it
    conversation one conversation: what was said, planned, agreed to and done
    job         one tuning job as it is seen from here: curve, progress, end
    messages    the labels, and the reader's language
    figures     numbers for people
    steps       a plan's steps in words and values
    chat        a conversation as chat messages
    plan_card   a plan that needs consent as a card to agree to
    panels      picture, training and model panels as HTML
    page        the Gradio page, laid over a conversation
    handlers    what happens on the page
    theme       how the page looks, with style.css
    gateway     the application that holds all of these
    serve       uvicorn, ended well; `python -m netgraft.ui` runs it

Knows nothing of torch, Ray and the services' code: it talks gRPC only, through
`netgraft.client`.
"""
