/* The one file that knows Netron's unofficial handles (Netron 9.3.3; a browser test holds it
 * to that). It runs after Netron's index.js and before Netron starts, and
 *
 *   - takes scripts and assets from the folder that all models share;
 *   - keeps Netron from asking for consent, and so from asking anyone where the reader is;
 *   - opens the modules around ?focus=PATH, selects it and scrolls to it;
 *   - says so in <html data-netgraft>: "loading", "drawn", or "failed" (why: data-netgraft-error).
 */
(function () {
    'use strict';
    const html = document.documentElement;
    const shared = new URL('.', document.currentScript.src).href;
    const focus = new URLSearchParams(window.location.search).get('focus');
    html.dataset.netgraft = 'loading';

    // Netron puts a function that throws in eval's place, and tools that drive a browser need
    // the real one. The page's policy forbids it to scripts as ever.
    const real = window.eval;
    Object.defineProperty(window, 'eval', { get: () => real, set: () => undefined });

    const say = (state, error) => {
        html.dataset.netgraft = state;
        if (error) {
            html.dataset.netgraftError = error;
        }
    };

    // Netron's loader looks beside the page; the scripts are in the shared folder.
    window.exports.require = (id, callback) => {
        const script = document.createElement('script');
        script.type = 'module';
        script.src = `${shared}${id}.js`;
        script.addEventListener('load', () => callback());
        script.addEventListener('error', () => callback(null, new Error(`${id}.js did not load.`)));
        document.head.appendChild(script);
    };
    const terminate = window.exports.terminate;
    window.exports.terminate = (message) => {
        terminate(message);
        say('failed', message);
    };
    const preload = window.exports.preload;
    window.exports.preload = (callback) => preload((value, error) => {
        if (!error) {
            adapt(window.exports.browser.Host.prototype, window.exports.view.View.prototype);
        }
        callback(value, error);
    });

    function adapt(host, view) {
        host._getCookie = (name) => name === 'consent' ? 'netgraft' : '';
        host._setCookie = () => undefined;
        // Without Netron's ?cb=TIME the browser may keep what it has.
        host._fetch = function (url, ...rest) {
            return this._request(url, ...rest);
        };
        host.asset = function (file) {
            return this._request(`${shared}${file}`, null, 'utf-8');
        };
        host.worker = () => new Worker(`${shared}worker.js`, { type: 'module' });
        // A link leads to a new tab, never away from the picture.
        host.openURL = (url) => window.open(url, '_blank', 'noopener');
        const show = view.show;
        view.show = function (page) {
            show.call(this, page);
            if (this._page === 'default' && this._target && html.dataset.netgraft === 'loading') {
                html.dataset.netgraft = 'placing';
                place(this).then(() => say('drawn'), (error) => say('failed', error.message));
            }
        };
        const fail = view.error;
        view.error = function (error, ...rest) {
            say('failed', error.message);
            return fail.call(this, error, ...rest);
        };
    }

    async function place(view) {
        const way = focus ? find(view.activeTarget.nodes, focus) : [];
        if (way.length === 0) {
            return;
        }
        const node = way.pop();
        for (const group of way) {
            view._target.blocks.add(graphOf(group));
        }
        if (way.length > 0) {
            await view.refresh();
        }
        const drawn = view._target.find(node);
        view._target.scrollTo(drawn.context.select([node]), 'instant');
    }

    /* The nodes from the top down to the module at a path; where it has no box of its own, to
     * the operator that reads its weights, or to the nearest module around it. */
    function find(nodes, path) {
        const around = nodes.find((node) => graphOf(node) && holds(moduleOf(node), path));
        if (around) {
            const inner = moduleOf(around) === path ? [] : find(graphOf(around).nodes, path);
            return [around, ...inner];
        }
        const tests = [
            (node) => node.name === path,
            (node) => weightsOf(node).some((name) => holds(path, name)),
            (node) => holds(path, moduleOf(node))
        ];
        for (const test of tests) {
            const node = nodes.find(test);
            if (node) {
                return [node];
            }
        }
        return [];
    }

    function holds(outer, inner) {
        return inner === outer || inner.startsWith(`${outer}.`);
    }

    function weightsOf(node) {
        const values = node.inputs.flatMap((argument) => argument.value);
        return values.filter((value) => value.initializer).map((value) => value.name);
    }

    function moduleOf(node) {
        const entry = node.metadata.find((entry) => entry.name === 'module');
        return entry ? entry.value : '';
    }

    function graphOf(node) {
        const attribute = node.attributes.find((attribute) => attribute.type === 'graph');
        return attribute ? attribute.value : null;
    }
})();
