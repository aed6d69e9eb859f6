/* The reader's language, and sentences in it. Before this file stands a line that sentences.py
 * writes: window.netgraftSentences, all sentences by language and by key. */
(function () {
    'use strict';
    const view = document.querySelector('meta[name=view]'); // of a one-file page (onefile.py)
    const query = new URLSearchParams(window.location.search || (view ? view.content : ''));
    const [asked] = (query.get('language') || navigator.language || '').split(/[-_]/);
    const language = Object.hasOwn(window.netgraftSentences, asked) ? asked : 'en';
    const sentences = window.netgraftSentences[language];

    window.netgraftLanguage = {
        language,
        /* The page's query: how the picture is seen, and perhaps in which language. */
        query,
        /* The sentence of a key, with values in place of its {names}. */
        say(key, values) {
            if (!Object.hasOwn(sentences, key)) {
                throw new Error(key);
            }
            return sentences[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
        },
        /* A text that the server sends in every language, or one that is the same in all. */
        read: (text) => typeof text === 'string' ? text : text[language]
    };
})();
