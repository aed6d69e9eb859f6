/* The lens: colours and labels boxes by what they are about, and keeps the address of the page
 * a permalink to what is seen. Knows the picture by window.netgraft only, and its words by
 * window.netgraftLanguage. */
(function () {
    'use strict';
    const picture = window.netgraft;
    const { say } = window.netgraftLanguage;
    const TRAINING = {
        trains: { fill: '#1b7f4b', text: '#fff', label: say('box.trains') },
        partly: { fill: '#8a6414', text: '#fff', label: say('box.partly') },
        frozen: { fill: '#3f6fa8', text: '#fff', label: say('box.frozen') }
    };
    const QUIET = { fill: '#d5d9de', text: '#333' };
    let lens = picture.query.get('lens') || '';
    let batch = Math.max(1, parseInt(picture.query.get('batch'), 10) || 1);
    let numbers = null;

    function load() {
        const held = document.getElementById('netgraft-lens');
        const read = async () => held ? JSON.parse(held.textContent) : (await fetch('lens.json')).json();
        numbers = numbers || read();
        return numbers;
    }

    /* One box's number under the lens that is in. */
    function measure(box) {
        switch (lens) {
            case 'flops': return box.flops * batch;
            case 'activations': return box.activations[0] + box.activations[1] * (batch - 1);
            default: return box[lens] || 0;
        }
    }

    function write(value) {
        if (lens === 'change') {
            return `${(100 * value).toPrecision(2)} %`;
        }
        if (lens === 'gradient') {
            return value.toPrecision(2);
        }
        const base = lens === 'activations' ? 1024 : 1000;
        const units = lens === 'activations' ? ['B', 'KiB', 'MiB', 'GiB', 'TiB'] : ['', 'k', 'M', 'G', 'T', 'P'];
        const step = value < base ? 0 : Math.min(units.length - 1, Math.floor(Math.log(value) / Math.log(base)));
        const short = (value / base ** step).toFixed(step && value / base ** step < 100 ? 1 : 0);
        return `${short} ${units[step]}${lens === 'flops' ? 'FLOPs' : ''}`.trim();
    }

    function training(box) {
        if (!box.parameters) {
            return QUIET;
        }
        return TRAINING[box.trainable === box.parameters ? 'trains' : box.trainable ? 'partly' : 'frozen'];
    }

    /* Pale to deep orange by the logarithm of a box's share of the largest; its text is legible. */
    function shade(value, largest) {
        if (!value || !largest) {
            return QUIET;
        }
        const part = lens === 'change' ? value / largest : 1 + Math.log10(value / largest) / 4;
        const lightness = 90 - 58 * Math.max(0, Math.min(1, part));
        return { fill: `hsl(24, 85%, ${lightness}%)`, text: lightness > 55 ? '#222' : '#fff' };
    }

    async function apply() {
        if (!lens) {
            picture.paint(() => null);
            return;
        }
        const { boxes } = await load();
        const seen = picture.boxes().map(({ name }) => boxes[name]).filter(Boolean);
        const largest = Math.max(...seen.map((box) => lens === 'trainable' ? 0 : measure(box)), 0);
        picture.paint((name) => {
            const box = boxes[name];
            if (!box) {
                return QUIET;
            }
            if (lens === 'trainable') {
                return training(box);
            }
            const value = measure(box);
            return { ...shade(value, largest), label: value ? write(value) : '' };
        });
    }

    /* The address says what is seen, so that it can be sent to somebody. */
    function remember() {
        const parts = [['focus', picture.selected()], ['lens', lens]];
        picture.opened().forEach((name) => parts.push(['open', name]));
        parts.push(['batch', batch === 1 ? '' : String(batch)]);
        parts.push(['language', picture.query.get('language') || '']);
        const query = new URLSearchParams(parts.filter(([, value]) => value)).toString();
        if (window.location.protocol !== 'file:') {
            window.history.replaceState(null, '', query ? `?${query}` : window.location.pathname);
        }
    }

    function change(name, value) {
        if (name === 'lens') {
            lens = value;
        } else {
            batch = Math.max(1, parseInt(value, 10) || 1);
        }
        counted.style.display = ['flops', 'activations'].includes(lens) ? '' : 'none';
        return apply().then(remember);
    }

    // The bar

    const bar = document.createElement('div');
    const choice = document.createElement('select');
    const counted = document.createElement('label');
    const count = document.createElement('input');

    async function build() {
        bar.id = 'netgraft-bar';
        bar.style.cssText = 'position:absolute;top:10px;right:14px;z-index:5;font-size:12px;display:flex;gap:8px;color:#777;align-items:center';
        choice.setAttribute('aria-label', say('lens'));
        choice.title = choice.getAttribute('aria-label');
        choice.style.cssText = count.style.cssText = 'font:inherit;padding:2px 4px;border:1px solid #bbb;border-radius:6px;background:Canvas;color:CanvasText';
        const lenses = (await load()).lenses;
        for (const name of ['', ...lenses]) {
            choice.add(new Option(say(`lens.${name || 'none'}`), name, false, name === lens));
        }
        choice.addEventListener('change', () => change('lens', choice.value));
        count.type = 'number';
        count.min = '1';
        count.value = String(batch);
        count.style.width = '5em';
        count.addEventListener('change', () => change('batch', count.value));
        counted.append(say('batch'), ' ', count);
        counted.style.display = ['flops', 'activations'].includes(lens) ? '' : 'none';
        bar.append(counted, choice);
        document.body.append(bar);
    }

    // A user's own file, shown as it is, has no numbers.
    const ours = document.querySelector('meta[name=file]').content === 'model.onnx';
    const barred = picture.query.get('bar') === 'none';
    if (ours && !barred) {
        load().catch(() => undefined); // whoever needs them meets the error
    }
    let built = false;
    picture.onDraw(async () => {
        if (!built) {
            built = true;
            if (ours && !barred) {
                await build().catch(() => bar.remove()); // files of other kinds have no numbers
            }
            await apply().catch(() => undefined);
            return;
        }
        await apply().catch(() => undefined);
        remember();
    });
    picture.onSelect(remember);
    picture.lens = (name) => {
        choice.value = name;
        return change('lens', name);
    };
})();
