// From one column to those that it depends on or that depend on it, a level at a time.
@CompileStatic
class StratigraphColumns {
    static final String LABEL = 'COLUMN_DERIVED_FROM'

    final StratigraphGraph graph
    final int depth
    final int limit
    /** Steps as [depth, from, to, from column, to column, transformation, description], the edge's `from` and `to`. */
    final Set<List> steps = new LinkedHashSet<>()
    boolean isComplete = true

    StratigraphColumns(StratigraphGraph graph, Map request) {
        this.graph = graph
        depth = (int) request.depth
        limit = (int) request.limit
    }

    static Map run(JanusGraph janusGraph, String text) {
        Map request = (Map) new JsonSlurper().parseText(text)
        StratigraphGraph graph = new StratigraphGraph(janusGraph, request)
        try {
            return new StratigraphColumns(graph, request).answer(request)
        } finally {
            graph.tx.rollback()
        }
    }

    Map answer(Map request) {
        try {
            List<JanusGraphVertex> roots = graph.find('vertex_id', [(String) request.root])
            if (!roots) {
                Set<JanusGraphVertex> versions = new LinkedHashSet<>()
                graph.across(
                    graph.find('entity_id', [(String) request.root]), Direction.IN, ['VERSION_OF'] as String[], versions)
                roots = versions.toList()
            }
            ((List<String>) request.directions).each { String it ->
                follow(roots, (String) request.column, Direction.valueOf(it))
            }
        } catch (StratigraphOutOfTime e) {
            isComplete = false
        }
        return show()
    }

    void follow(List<JanusGraphVertex> roots, String column, Direction direction) {
        String near = direction == Direction.OUT ? 'from_column' : 'to_column'
        String far = direction == Direction.OUT ? 'to_column' : 'from_column'
        Map<String, Set<JanusGraphVertex>> level = [(column): new LinkedHashSet<JanusGraphVertex>(roots)]
        Set<List> met = new HashSet<>()
        roots.each { met.add([it, column]) }
        int before = steps.size()
        for (int at = 1; level; at++) {
            List<JanusGraphEdge> links = leaving(level, direction, near)
            if (at > depth || steps.size() - before > limit) {
                isComplete = isComplete && !links
                return
            }
            level = new LinkedHashMap<String, Set<JanusGraphVertex>>()
            for (JanusGraphEdge link : links) {
                steps.add([
                    at, link.outVertex(), link.inVertex(), link.value('from_column'), link.value('to_column'),
                    link.property('transformation').orElse(null), link.property('description').orElse(null)])
                JanusGraphVertex vertex = direction == Direction.OUT ? link.inVertex() : link.outVertex()
                String name = (String) link.value(far)
                if (met.add([vertex, name])) {
                    level.computeIfAbsent(name, { new LinkedHashSet<JanusGraphVertex>() }).add(vertex)
                }
            }
        }
    }

    List<JanusGraphEdge> leaving(Map<String, Set<JanusGraphVertex>> level, Direction direction, String near) {
        List<JanusGraphEdge> found = []
        level.each { String name, Set<JanusGraphVertex> vertices ->
            for (List<JanusGraphVertex> some : graph.chunks(vertices)) {
                graph.checkTime()
                // By the vertex-centric index: a wide table has thousands of links.
                tx(some).direction(direction).labels(LABEL).has(near, name).edges().values().each { edges ->
                    edges.each { JanusGraphEdge it ->
                        if (it.value('of_kind') == 'DERIVED_FROM') {
                            found.add(it)
                        }
                    }
                }
            }
        }
        return found
    }

    JanusGraphMultiVertexQuery tx(List<JanusGraphVertex> vertices) {
        return graph.tx.multiQuery(vertices)
    }

    Map show() {
        Set<JanusGraphVertex> ends = new LinkedHashSet<>()
        steps.each {
            ends.add((JanusGraphVertex) it[1])
            ends.add((JanusGraphVertex) it[2])
        }
        graph.look(ends)
        List<JanusGraphVertex> whole = ends.findAll { graph.isKnown(it) }.toList()
        Map<JanusGraphVertex, Integer> places = new HashMap<>()
        whole.eachWithIndex { JanusGraphVertex it, int place -> places.put(it, place) }
        List rows = []
        steps.each { List it ->
            if (places.containsKey(it[1]) && places.containsKey(it[2])) {
                rows.add([it[0], places.get(it[1]), places.get(it[2]), it[3], it[4], it[5], it[6]])
            }
        }
        return [nodes: whole.collect { graph.show(it, 0) }, steps: rows, is_complete: isComplete]
    }
}

JsonOutput.toJson(StratigraphColumns.run((JanusGraph) g.getGraph(), (String) request))
