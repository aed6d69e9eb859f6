/* The compare page: two pictures that move, open and select as one, and the list of what differs
 * between them. Knows the pictures by their window.netgraft only, and its words by
 * window.netgraftLanguage. */
(function () {
    'use strict';
    const { language, say, read } = window.netgraftLanguage;
    const number = (value) => value.toLocaleString(language);
    const $ = (id) => document.getElementById(id);

    document.documentElement.lang = language;
    const sides = ['a', 'b'].map((name) => ({ name, frame: $(name), ready: false, following: false }));
    const [a, b] = sides;
    const other = (side) => side === a ? b : a;

    async function start() {
        const response = await fetch('diff.json');
        const found = await response.json();
        if (!response.ok) {
            throw new Error(found.message);
        }
        for (const side of sides) {
            side.root = found[side.name].root;
            $(`${side.name}-parameters`).textContent = say('total', { number: number(found[side.name].parameters) });
        }
        sides.forEach((side) => Object.assign(side, kinds(side, found.differences)));
        legend(found.differences);
        list(found.differences);
    }

    function show() {
        for (const side of sides) {
            side.frame.addEventListener('load', () => attach(side));
            side.frame.src = side.frame.dataset.src;
        }
    }

    // The list

    function element(tag, options, ...children) {
        const made = Object.assign(document.createElement(tag), options);
        made.append(...children);
        return made;
    }

    function legend(differences) {
        for (const kind of ['added', 'removed', 'changed', 'trainable']) {
            const count = differences.filter((difference) => difference.kind === kind).length;
            const swatch = element('span', { className: `kind ${kind}` }, say(`kind.${kind}`));
            $('legend').append(element('li', {}, swatch, ` ${number(count)}`));
        }
        const around = element('span', { className: 'kind changed around' }, say('around'));
        $('legend').append(element('li', {}, around));
    }

    function list(differences) {
        $('told').textContent = differences.length === 0 ? say('alike') : '';
        const table = document.querySelector('table');
        table.hidden = differences.length === 0;
        const names = ['module', 'what', 'before', 'after', 'parameters', 'weights'];
        const heads = names.map((name) => element('th', { scope: 'col', className: name }, say(`column.${name}`)));
        table.tHead.append(element('tr', {}, ...heads));
        table.tBodies[0].append(...differences.map(row));
    }

    function row(difference) {
        const { path, kind } = difference;
        const weights = difference.weights.map((weight) => element('li', {}, element('code', {},
            `${weight.name} ${[weight.before, weight.after].filter(Boolean).join(' → ')}`)));
        const parts = path.split('.').flatMap((part, depth) => depth ? ['.', element('wbr'), part] : [part]);
        const made = element('tr', { className: kind },
            element('th', { scope: 'row' }, element('button', { type: 'button' }, ...(path ? parts : [say('model')]))),
            element('td', {}, element('span', { className: `kind ${kind}` }, word(difference, difference.after))),
            element('td', {}, read(difference.before) || '–'),
            element('td', {}, read(difference.after) || '–'),
            element('td', { className: 'number' }, isLoss(difference) ? '–' : counts(difference)),
            element('td', {}, element('ul', {}, ...weights)));
        made.dataset.path = path;
        made.addEventListener('click', () => choose(difference));
        return made;
    }

    /* The model as a whole may also hold parameters of its own. */
    const isLoss = ({ path, parameters_before: before, parameters_after: after }) => !path && !before && !after;

    /* A kind in one word; of what trains, the state in which it is. */
    const word = ({ kind }, state) => kind === 'trainable' ? read(state) : say(`kind.${kind}`);

    function counts({ parameters_before: before, parameters_after: after }) {
        return before === after ? number(before) : `${number(before)} → ${number(after)}`;
    }

    /* Marks the row of a module, when it has one. */
    function mark(path) {
        for (const row of document.querySelectorAll('tbody tr')) {
            row.removeAttribute('aria-current');
            if (row.dataset.path === path) {
                row.setAttribute('aria-current', 'true');
                row.scrollIntoView({ block: 'nearest' });
            }
        }
    }

    // The colours

    /* What differs on a side: how each module does, and the kinds within those around it. */
    function kinds(side, differences) {
        const own = new Map();
        const around = new Map();
        for (const difference of differences.filter((difference) => !isLoss(difference))) {
            const { kind } = difference;
            const missing = kind === (side === a ? 'added' : 'removed');
            const path = pathOn(side, difference);
            if (!missing) {
                const label = word(difference, side === a ? difference.before : difference.after);
                own.set(path, { kind, label });
            }
            const parts = path.split('.');
            for (let depth = parts.length - 1; depth > 0; depth--) {
                const outer = parts.slice(0, depth).join('.');
                around.set(outer, (around.get(outer) || new Set()).add(kind));
            }
        }
        return { own, around };
    }

    /* The path of a module, or of where it would be. */
    function pathOn(side, { kind, path, path_before: before }) {
        switch (kind) {
            case 'added': return side === a ? across(path, b) : path;
            case 'removed': return side === a ? path : across(path, a);
            default: return side === a ? before : path;
        }
    }

    /* The module that a box is; a second call of it is a box "fc@2". */
    const moduleOf = (name) => name.replace(/@\d+$/, '');
    /* The module that holds a weight; "add/1" is a constant of an operator, and nobody's. */
    const ownerOf = (weight) => weight.includes('/') ? null : weight.slice(0, Math.max(0, weight.lastIndexOf('.')));

    function paint(side) {
        const styles = window.getComputedStyle(document.documentElement);
        const colour = (name) => styles.getPropertyValue(`--${name}`).trim();
        const { own, around } = side;
        side.picture.paint((name, module, weights) => {
            const paths = [moduleOf(name), ...weights.map(ownerOf)];
            const found = paths.map((path) => own.get(path)).find(Boolean);
            if (found) {
                return { fill: colour(found.kind), text: colour('kind-ink'), label: found.label, ink: colour('quiet') };
            }
            const within = around.get(moduleOf(name));
            if (within) {
                const one = within.size === 1 ? [...within][0] : 'changed';
                return { fill: colour(`${one}-around`), text: colour('around-ink') };
            }
            return null;
        });
    }

    // The two as one. What one does, the other does after; work is done one by one.

    let work = Promise.resolve();
    const enqueue = (job) => {
        work = work.then(job).catch((error) => window.reportError(error));
    };

    function attach(side) {
        side.picture = side.frame.contentWindow.netgraft;
        if (!side.picture) {
            return; // an error's page stands there, and says why
        }
        side.picture.onDraw(() => drawn(side));
        side.picture.onSelect((name) => enqueue(() => selected(side, name)));
        side.picture.onMove(() => moved(side));
        if (side.frame.contentDocument.documentElement.dataset.netgraft === 'drawn') {
            drawn(side);
        }
    }

    function drawn(side) {
        paint(side);
        const before = side.opened;
        side.names = new Set(side.picture.boxes().map((box) => box.name));
        side.opened = new Set(side.picture.opened());
        if (!side.ready) {
            side.ready = true;
            if (a.ready && b.ready) {
                document.documentElement.dataset.compare = 'drawn';
            }
        } else if (!side.following) {
            const opened = [...side.opened].filter((name) => !before.has(name));
            const closed = [...before].filter((name) => !side.opened.has(name));
            enqueue(() => mirror(side, opened, closed));
        }
    }

    /* A box's name, or a module's path, in the other picture. */
    function across(name, from) {
        const inside = from.root ? `${from.root}.` : '';
        const to = other(from).root;
        return (to ? `${to}.` : '') + (name.startsWith(inside) ? name.slice(inside.length) : name);
    }

    async function following(side, job) {
        side.following = true;
        try {
            await job();
        } finally {
            side.following = false;
        }
    }

    async function mirror(from, opened, closed) {
        const to = other(from);
        if (!to.ready) {
            return;
        }
        await following(to, async () => {
            for (const [names, open] of [[opened, true], [closed, false]]) {
                for (const name of names.map((name) => across(name, from))) {
                    if (to.names.has(name)) {
                        await to.picture.toggle(name, open);
                    }
                }
            }
        });
        align(from);
    }

    /* Selects a module in a picture; what is not there, by the module around it. */
    const select = (side, path) => following(side, () => side.picture.select(path, 'instant'));

    async function selected(from, name) {
        const to = other(from);
        mark(moduleOf(from === a ? across(name, a) : name));
        if (name && to.ready) {
            if (!from.picture.inSight(name)) { // it followed the other since it was clicked
                await select(from, name);
            }
            await select(to, across(name, from));
            align(from);
        }
    }

    function choose(difference) {
        mark(difference.path);
        const from = difference.kind === 'removed' ? a : b;
        const to = other(from);
        if (difference.path) {
            enqueue(async () => {
                if (from.ready) {
                    const before = from.opened;
                    await select(from, pathOn(from, difference));
                    await mirror(from, [...from.opened].filter((name) => !before.has(name)), []);
                }
                if (to.ready) {
                    await select(to, pathOn(to, difference));
                    align(from);
                }
            });
        }
    }

    function moved(side) {
        if (side.pending || side.following || other(side).following) {
            return;
        }
        side.pending = true;
        window.requestAnimationFrame(() => {
            side.pending = false;
            align(side);
        });
    }

    /* Shows in the other picture what is in the middle of this one. */
    function align(from) {
        const to = other(from);
        if (from.ready && to.ready) {
            const place = from.picture.where((name) => to.names.has(across(name, from)));
            to.picture.go({ ...place, name: place.name && across(place.name, from) });
        }
    }

    window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
        sides.filter((side) => side.ready).forEach(paint);
    });

    start().then(show, (error) => {
        $('told').textContent = say('failed', { problem: error.message });
    });
})();
