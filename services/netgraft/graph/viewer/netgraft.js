/* Adapts Netron through its unofficial handles (Netron 9.3.3; a browser test checks that they
 * still work). It runs after Netron's index.js, language.js and nodes.js, before Netron starts, and
 *
 *   - takes scripts and assets from the folder that all models share;
 *   - answers Netron's request for consent, so that it does not look up the reader's country;
 *   - inside another page takes the focus only when clicked: somebody may be typing in that page;
 *   - shows how many parameters the model and each module hold, all levels taken together;
 *   - opens the modules of ?open=PATH and those around ?focus=PATH, selects that and scrolls to it;
 *   - reports its state in <html data-netgraft>: "loading", "drawn", or "failed" (why: data-netgraft-error);
 *   - offers window.netgraft: the picture's interface for lens.js and the compare page.
 */
(function () {
    'use strict';
    const html = document.documentElement;
    const { count, find, graphOf, moduleOf, weightsOf } = window.netgraftNodes;
    const { query, say } = window.netgraftLanguage;
    // In a one-file page (onefile.py) everything needed is in the page, as data: URLs.
    const held = document.getElementById('netgraft-files');
    const files = held ? JSON.parse(held.textContent) : null;
    const shared = files ? '' : new URL('.', document.currentScript.src).href;
    html.dataset.netgraft = 'loading';
    // Netron puts a function that throws in eval's place, and tools that drive a browser need
    // the real one. The page's policy still forbids it to scripts.
    const real = window.eval;
    Object.defineProperty(window, 'eval', { get: () => real, set: () => undefined });

    if (window.parent !== window) {
        const focus = HTMLElement.prototype.focus;
        HTMLElement.prototype.focus = function (...rest) {
            if (document.hasFocus()) {
                focus.apply(this, rest);
            }
        };
        const press = () => focus.call(document.getElementById('target'), { preventScroll: true });
        window.addEventListener('pointerdown', press, { capture: true }); // Netron forbids it
    }

    const report = (state, error) => {
        html.dataset.netgraft = state;
        if (error) {
            html.dataset.netgraftError = error;
        }
    };

    // Netron's loader looks beside the page; the scripts are in the shared folder.
    window.exports.require = (id, callback) => {
        if (files) {
            import(`netron/${id}.js`).then(() => callback(), (error) => callback(null, error));
            return;
        }
        const script = document.createElement('script');
        script.type = 'module';
        script.src = `${shared}${id}.js`;
        script.addEventListener('load', () => callback());
        script.addEventListener('error', () => callback(null, new Error(say('unloaded', { script: `${id}.js` }))));
        document.head.appendChild(script);
    };
    const terminate = window.exports.terminate;
    window.exports.terminate = (message) => {
        terminate(message);
        report('failed', message);
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
        if (files) {
            const request = host._request;
            host._request = function (url, ...rest) {
                return request.call(this, files[url.split('/').pop()], ...rest);
            };
            host.require = (id) => import(`netron/${id.replace('./', '')}.js`);
            const environment = host.environment;
            host.environment = function (name) { // a worker has no import map
                return name === 'serial' ? true : environment.call(this, name);
            };
        }
        host.worker = () => new Worker(`${shared}worker.js`, { type: 'module' });
        // A link leads to a new tab, never away from the picture.
        host.openURL = (url) => window.open(url, '_blank', 'noopener');
        const show = view.show;
        view.show = function (page) {
            show.call(this, page);
            if (this._page === 'default' && this._target && html.dataset.netgraft === 'loading') {
                html.dataset.netgraft = 'placing';
                current = this;
                count(this.model);
                watch();
                place(this).then(notifyDrawn).then(() => report('drawn'), (error) => report('failed', error.message));
            }
        };
        const refresh = view.refresh;
        view.refresh = async function (anchor) { // what the reader has opened or closed
            await refresh.call(this, anchor);
            if (html.dataset.netgraft === 'drawn') {
                await notifyDrawn();
                if (anchor) {
                    setTimeout(moved, GLIDE, true);
                }
            }
        };
        // Netron writes its style sheet over our colours in the copy that it exports.
        const write = window.XMLSerializer.prototype.serializeToString;
        window.XMLSerializer.prototype.serializeToString = function (root) {
            for (const element of root.querySelectorAll('[data-fill]')) {
                element.style.fill = element.dataset.fill;
            }
            return write.call(this, root);
        };
        const properties = view.showNodeProperties;
        view.showNodeProperties = function (node, ...rest) {
            selected = node ? node.name : '';
            listeners.select.forEach((listener) => listener(selected));
            return properties.call(this, node, ...rest);
        };
        const fail = view.error;
        view.error = function (error, ...rest) {
            report('failed', error.message);
            return fail.call(this, error, ...rest);
        };
    }

    async function place(view) {
        const nodes = view.activeTarget.nodes;
        const opened = query.getAll('open').map((path) => find(nodes, path));
        const way = query.get('focus') ? find(nodes, query.get('focus')) : [];
        const groups = opened.flat().concat(way.slice(0, -1)).map(graphOf).filter(Boolean);
        groups.forEach((graph) => view._target.blocks.add(graph));
        if (groups.length > 0) {
            await redraw(view);
        }
        if (way.length > 0) {
            selected = way[way.length - 1].name;
            scrollTo(selected, 'instant');
        }
    }

    /* Netron lets boxes glide from their old places. Here they are placed at once, so that the
     * window can scroll to them. */
    async function redraw(view) {
        view._target.nodes.forEach((entry) => delete entry.label.x);
        await view.refresh();
    }

    // The interface for other scripts.

    let current = null;
    let selected = '';
    const listeners = { draw: [], select: [], move: [] };

    async function notifyDrawn() {
        for (const listener of listeners.draw) {
            await listener();
        }
    }

    /* Every box that is drawn, with its element; including those inside open ones. */
    function* boxes(graph) {
        for (const [value, drawn] of graph._table) {
            if (value.metadata && value.attributes && drawn.element) {
                yield [value, drawn];
            }
            for (const block of drawn.blocks || []) {
                if (block.target && block.target._table) {
                    yield* boxes(block.target);
                }
            }
        }
    }

    function scrollTo(name, behavior) {
        for (const [value, drawn] of boxes(current._target)) {
            if (value.name === name) {
                current._target.scrollTo(drawn.context.select([value]), behavior);
            }
        }
    }

    // The window's position. `gone` is where `go` has put it, which is not a move by the reader.

    let gone = '';
    const GLIDE = 500; // milliseconds until the boxes have stopped moving, with some to spare

    const position = () => [container().scrollLeft, container().scrollTop, current._target.zoom].join();

    function container() {
        return document.getElementById('target');
    }

    function watch() {
        container().addEventListener('scroll', () => moved(), { passive: true });
        new ResizeObserver(() => moved()).observe(document.getElementById('canvas'));
    }

    function moved(surely) {
        if (html.dataset.netgraft === 'drawn' && (surely || position() !== gone)) {
            gone = '';
            listeners.move.forEach((listener) => listener());
        }
    }

    function middle() {
        const { left, top } = container().getBoundingClientRect();
        return [left + container().clientWidth / 2, top + container().clientHeight / 2];
    }

    /* The box nearest to a point; of several that contain it, the innermost. */
    function nearest(x, y, has) {
        let best = null;
        for (const [node, drawn] of boxes(current._target)) {
            if (has(node.name)) {
                const rect = drawn.element.getBoundingClientRect();
                const away = Math.hypot(
                    Math.max(rect.left - x, 0, x - rect.right), Math.max(rect.top - y, 0, y - rect.bottom)
                );
                const size = rect.width * rect.height;
                if (!best || away < best.away || (away === best.away && size < best.size)) {
                    best = { name: node.name, rect, away, size };
                }
            }
        }
        return best;
    }

    window.netgraft = {
        query,
        /* Calls back when the reader has scrolled or zoomed. */
        onMove: (listener) => listeners.move.push(listener),
        /* The window's middle in the picture's own units, from the corner of the nearest
         * box whose name satisfies `has`, or else of the picture; and the zoom. */
        where(has) {
            const [x, y] = middle();
            const box = nearest(x, y, has);
            const { left, top } = box ? box.rect : document.getElementById('canvas').getBoundingClientRect();
            const zoom = current._target.zoom;
            return { name: box ? box.name : '', x: (x - left) / zoom, y: (y - top) / zoom, zoom };
        },
        /* Moves the window to what another picture's `where` returned. */
        go({ name, x, y, zoom }) {
            const target = current._target;
            target.zoom = zoom;
            const [, box] = [...boxes(target)].find(([node]) => node.name === name) || [];
            const element = box ? box.element : document.getElementById('canvas');
            const { left, top } = element.getBoundingClientRect();
            const [middleX, middleY] = middle();
            container().scrollBy({
                left: left + x * target.zoom - middleX, top: top + y * target.zoom - middleY, behavior: 'instant'
            });
            delete target._scrollLeft; // Netron's memory of the old position
            delete target._scrollTop;
            gone = position();
        },
        /* Calls back each time the picture has been drawn. */
        onDraw: (listener) => listeners.draw.push(listener),
        onSelect: (listener) => listeners.select.push(listener),
        /* Names of all boxes that are drawn, with their module's path. */
        boxes: () => [...boxes(current._target)].map(([node]) => ({ name: node.name, module: moduleOf(node) })),
        /* Names of the modules that are open. */
        opened: () => [...boxes(current._target)].map(([node]) => node)
            .filter((node) => current._target.blocks.has(graphOf(node))).map((node) => node.name),
        selected: () => selected,
        /* True if the window shows any part of the box of this name. */
        inSight(name) {
            const frame = container().getBoundingClientRect();
            return [...boxes(current._target)].some(([node, { element }]) => {
                const rect = node.name === name ? element.getBoundingClientRect() : null;
                return rect && rect.left < frame.right && rect.right > frame.left
                    && rect.top < frame.bottom && rect.bottom > frame.top;
            });
        },
        /* Selects the box of a module; opens the boxes around it. Returns whether there is one. */
        async select(path, behavior) {
            const way = find(current.activeTarget.nodes, path);
            const closed = way.slice(0, -1).map(graphOf).filter((graph) => !current._target.blocks.has(graph));
            closed.forEach((graph) => current._target.blocks.add(graph));
            if (closed.length > 0) {
                await redraw(current);
            }
            if (way.length > 0) {
                selected = way[way.length - 1].name;
                scrollTo(selected, behavior || 'smooth');
            }
            return way.length > 0;
        },
        async toggle(path, open) {
            const node = find(current.activeTarget.nodes, path).pop();
            const graph = node && graphOf(node);
            if (graph && current._target.blocks.has(graph) !== open) {
                current._target.blocks[open ? 'add' : 'delete'](graph);
                await redraw(current);
            }
        },
        get zoom() {
            return current._target.zoom;
        },
        set zoom(value) {
            current._target.zoom = value;
        },
        /* Paints boxes: `style(name, module, weights)` gives { fill, text, label, tip }, or null
         * for Netron's own colours; `weights` are the names of those that the box reads. The
         * data- attributes keep it in exported pictures. */
        paint(style) {
            for (const [node, drawn] of boxes(current._target)) {
                const painted = style(node.name, moduleOf(node), weightsOf(node));
                for (const part of drawn.element.querySelectorAll(':scope > g.node-item')) {
                    colour(part.querySelector('path'), painted && painted.fill);
                    colour(part.querySelector('text'), painted && painted.text);
                }
                label(drawn, painted);
            }
        },
        failed: report.bind(null, 'failed')
    };

    function colour(element, fill) {
        if (element && fill) {
            element.style.fill = element.dataset.fill = fill;
        } else if (element && element.dataset.fill) {
            element.style.removeProperty('fill');
            delete element.dataset.fill;
        }
    }

    function label(drawn, painted) {
        const old = drawn.element.querySelector(':scope > text.netgraft-label');
        if (old) {
            old.remove();
        }
        if (!painted || !painted.label) {
            return;
        }
        const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
        text.setAttribute('class', 'netgraft-label');
        text.setAttribute('y', 14);
        text.style.fontSize = '10px';
        const title = drawn.element.querySelector(':scope > g.node-item > text');
        const space = drawn.width - (title ? title.getBBox().width : 0) - 20;
        const inside = space > 6 * painted.label.length;
        const ink = inside && painted.text ? painted.text : painted.ink || '#8a8a8a';
        text.style.fill = text.dataset.fill = ink;
        if (inside) {
            text.setAttribute('x', drawn.width - 6);
            text.style.textAnchor = 'end';
        } else {
            text.setAttribute('x', drawn.width + 6);
            text.style.paintOrder = 'stroke'; // a halo, so that it is legible over what lies beneath
            text.style.stroke = window.getComputedStyle(document.body).backgroundColor;
            text.style.strokeWidth = '3px';
        }
        text.textContent = painted.label;
        drawn.element.appendChild(text);
    }
})();
