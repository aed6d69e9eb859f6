"""The web gateway: the chat page, Netron's pages and downloads under one origin.

    session     who may enter: the token and the cookie derived from it
    guard       checks every request first: host, origin, session; sets headers
    body        how fast a request's body must arrive
    login       the page that asks for the token
    pages       small whole pages: login and errors
    backend     connections to the gRPC server, one per language
    viewer      /viz/{id}/…   relays Graphs.GetViewerFile
    download    /export/{id}/{format}   streams Models.ExportModel
    answers     recognises a yes or a no that is typed as the answer to a plan
    upload      /upload   takes a file from the browser
    slots       how many uploads may be in progress at one time
    exchange    one message of a person, and everything that followed from it
    conversation one conversation: what was said, planned, agreed to and done
    job         one tuning job, gathered from its events: curve, progress, end
    messages    the labels, and the reader's language
    figures     numbers for people
    steps       a plan's steps in words and values
    chat        a conversation as chat messages
    plan_card   a plan that needs consent as a card to agree to
    panels      picture, training and model panels as HTML
    page        the Gradio page, laid over a conversation
    handlers    the handlers of the page's events
    theme       how the page looks, with style.css
    gateway     the application that holds all of these
    serve       uvicorn with a clean shutdown; `python -m netgraft.ui` runs it

Knows nothing of torch, Ray and the services' code: it talks gRPC only, through
`netgraft.client`.
"""
