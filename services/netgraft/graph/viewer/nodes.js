/* Netron's nodes as modules: which module a box is, what it holds, and the way to it. Like netgraft.js,
 * which it is loaded before, it knows how Netron 9.3.3 represents a graph. It draws nothing and keeps nothing. */
(function () {
    'use strict';

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
     * counts a module that is called twice only once. */
    function holdings(node) {
        const own = countOf(node);
        if (own !== null || !graphOf(node)) {
            return [[moduleOf(node), own || 0]];
        }
        return [...new Map(graphOf(node).nodes.flatMap(holdings))];
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

    window.netgraftNodes = { count, find, graphOf, moduleOf, weightsOf };
})();
