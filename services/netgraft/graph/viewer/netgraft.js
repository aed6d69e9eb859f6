/* The one file that knows Netron's unofficial handles (Netron 9.3.3; a browser test holds it
 * to that). It runs after Netron's index.js and before Netron starts, and
 *
 *   - takes scripts and assets from the folder that all models share;
 *   - keeps Netron from asking for consent, and so from asking anyone where the reader is;
 *   - inside another page takes the focus when it is pressed, and never by itself: somebody may
 *     be typing there;
 *   - has Netron say how many parameters the model and each module hold, all levels taken together;
 *   - opens the modules of ?open=PATH and those around ?focus=PATH, selects that and scrolls to it;
 *   - says so in <html data-netgraft>: "loading", "drawn", or "failed" (why: data-netgraft-error);
 *   - offers window.netgraft: the picture in plain words, to lens.js and to the compare page.
 */
(function () {
    'use strict';
    const html = document.documentElement;
    // In the form of one file (onefile.py) what is needed lies in the page, as data: URLs.
    const held = document.getElementById('netgraft-files');
    const files = held ? JSON.parse(held.textContent) : null;
    const shared = files ? '' : new URL('.', document.currentScript.src).href;
    const wish = document.querySelector('meta[name=view]');
    const query = new URLSearchParams(window.location.search || (wish ? wish.content : ''));
    html.dataset.netgraft = 'loading';
    // Netron puts a function that throws in eval's place, and tools that drive a browser need
    // the real one. The page's policy forbids it to scripts as ever.
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

    const say = (state, error) => {
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
        if (files) {
            const request = host._request;
            host._request = function (url, ...rest) {
                return request.call(this, files[url.split('/').pop()], ...rest);
            };
            host.require = (id) => import(`netron/${id.replace('./', '')}.js`);
            const environment = host.environment;
            host.environment = function (name) { // a worker would know no import map
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
                place(this).then(tell).then(() => say('drawn'), (error) => say('failed', error.message));
            }
        };
        const refresh = view.refresh;
        view.refresh = async function (anchor) { // what the reader has opened or closed
            await refresh.call(this, anchor);
            if (html.dataset.netgraft === 'drawn') {
                await tell();
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
            say('failed', error.message);
            return fail.call(this, error, ...rest);
        };
    }

    /* Netron adds up the tensors that it sees at one level, buffers among them. The document says
     * what the model holds, and each module. */
    function count(model) {
        const total = model.producer === 'netgraft' ? countOf(model) : null; // else the user's own file
        if (total !== null) {
            model.metrics = [metric(total)];
            model.modules.forEach((graph) => countIn(graph, total));
        }
    }

    function countIn(graph, total) {
        graph.metrics = [metric(total)];
        for (const node of graph.nodes) {
            const inner = graphOf(node);
            if (inner) {
                countIn(inner, holdings(node).reduce((sum, [, number]) => sum + number, 0));
            }
        }
    }

    function metric(total) {
        return { name: 'parameters', value: total.toLocaleString('en'), type: 'attribute' };
    }

    function countOf({ metadata }) {
        const entry = metadata.find((entry) => entry.name === 'parameters');
        return entry ? Number(entry.value.replaceAll(',', '')) : null;
    }

    /* What a box holds, by module. The round of a loop is no module: it holds what is in it, and
     * a module that is called twice once. */
    function holdings(node) {
        const own = countOf(node);
        if (own !== null || !graphOf(node)) {
            return [[moduleOf(node), own || 0]];
        }
        return [...new Map(graphOf(node).nodes.flatMap(holdings))];
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

    /* Netron lets boxes glide from where they were. Here they stand at once, so that the window
     * can be put where they are. */
    async function redraw(view) {
        view._target.nodes.forEach((entry) => delete entry.label.x);
        await view.refresh();
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
        // What a loop calls lies in its rounds, which are no modules.
        const ways = nodes.filter(graphOf).map((node) => [node, ...find(graphOf(node).nodes, path)]);
        return ways.find((way) => way.length > 1) || [];
    }

    /* Also true of an operator of a module, such as "layer1.0/add". */
    function holds(outer, inner) {
        return inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}/`);
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

    // What the picture is to other scripts.

    let current = null;
    let selected = '';
    const listeners = { draw: [], select: [], move: [] };

    async function tell() {
        for (const listener of listeners.draw) {
            await listener();
        }
    }

    /* Every box that is drawn, with its element; boxes inside of open ones too. */
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

    // Where the window stands. `gone` is where `go` has put it: that is not the reader's doing.

    let gone = '';
    const GLIDE = 500; // milliseconds in which the boxes come to stand, and some

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

    /* The box next to a point, the inmost of those around it. */
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
        /* The window's middle in the picture's own units, from the corner of the box next to it
         * of those whose name `has` is true of, or else from the picture's; and the zoom. */
        where(has) {
            const [x, y] = middle();
            const box = nearest(x, y, has);
            const { left, top } = box ? box.rect : document.getElementById('canvas').getBoundingClientRect();
            const zoom = current._target.zoom;
            return { name: box ? box.name : '', x: (x - left) / zoom, y: (y - top) / zoom, zoom };
        },
        /* Goes where another picture's `where` says. */
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
            delete target._scrollLeft; // where Netron believes it to be
            delete target._scrollTop;
            gone = position();
        },
        /* Calls back when the picture was drawn, and again when it was drawn anew. */
        onDraw: (listener) => listeners.draw.push(listener),
        onSelect: (listener) => listeners.select.push(listener),
        /* Names of all boxes that are drawn, with their module's path. */
        boxes: () => [...boxes(current._target)].map(([node]) => ({ name: node.name, module: moduleOf(node) })),
        /* Names of the modules that are open. */
        opened: () => [...boxes(current._target)].map(([node]) => node)
            .filter((node) => current._target.blocks.has(graphOf(node))).map((node) => node.name),
        selected: () => selected,
        /* Whether the window shows something of the box of this name. */
        inSight(name) {
            const frame = container().getBoundingClientRect();
            return [...boxes(current._target)].some(([node, { element }]) => {
                const rect = node.name === name ? element.getBoundingClientRect() : null;
                return rect && rect.left < frame.right && rect.right > frame.left
                    && rect.top < frame.bottom && rect.bottom > frame.top;
            });
        },
        /* Selects the box of a module; opens what is around it. Says whether there is one. */
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
                const wish = style(node.name, moduleOf(node), weightsOf(node));
                for (const part of drawn.element.querySelectorAll(':scope > g.node-item')) {
                    colour(part.querySelector('path'), wish && wish.fill);
                    colour(part.querySelector('text'), wish && wish.text);
                }
                label(drawn, wish);
            }
        },
        failed: say.bind(null, 'failed')
    };

    function colour(element, fill) {
        if (element && fill) {
            element.style.fill = element.dataset.fill = fill;
        } else if (element && element.dataset.fill) {
            element.style.removeProperty('fill');
            delete element.dataset.fill;
        }
    }

    function label(drawn, wish) {
        const old = drawn.element.querySelector(':scope > text.netgraft-label');
        if (old) {
            old.remove();
        }
        if (!wish || !wish.label) {
            return;
        }
        const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
        text.setAttribute('class', 'netgraft-label');
        text.setAttribute('y', 14);
        text.style.fontSize = '10px';
        const title = drawn.element.querySelector(':scope > g.node-item > text');
        const room = drawn.width - (title ? title.getBBox().width : 0) - 20;
        const inside = room > 6 * wish.label.length;
        const ink = inside && wish.text ? wish.text : wish.ink || '#8a8a8a';
        text.style.fill = text.dataset.fill = ink;
        if (inside) {
            text.setAttribute('x', drawn.width - 6);
            text.style.textAnchor = 'end';
        } else {
            text.setAttribute('x', drawn.width + 6);
            text.style.paintOrder = 'stroke'; // a halo, for what lies beneath
            text.style.stroke = window.getComputedStyle(document.body).backgroundColor;
            text.style.strokeWidth = '3px';
        }
        text.textContent = wish.label;
        drawn.element.appendChild(text);
    }
})();
