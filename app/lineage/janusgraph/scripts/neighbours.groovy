// The edges that one hop passes from these versions, or from those of an entity, and the vertices at their ends.
@CompileStatic
class StratigraphNeighbours {
    static Map run(JanusGraph janusGraph, String text) {
        Map request = (Map) new JsonSlurper().parseText(text)
        StratigraphGraph graph = new StratigraphGraph(janusGraph, request)
        try {
            return answer(graph, request)
        } finally {
            graph.tx.rollback()
        }
    }

    static Map answer(StratigraphGraph graph, Map request) {
        List<String> ids = (List<String>) request.vertex_ids
        Set<JanusGraphVertex> near = new LinkedHashSet<>(graph.find('vertex_id', ids))
        graph.across(graph.find('entity_id', ids), Direction.IN, ['VERSION_OF'] as String[], near)
        graph.look(near)
        Map<Long, JanusGraphEdge> edges = new LinkedHashMap<>()
        ((List<Map>) request.ways).each { Map it ->
            StratigraphWay way = new StratigraphWay(it)
            [graph.edges(graph.leaves(near, false), way.direction, way.labels),
             graph.edges(graph.leaves(near, true), Direction.OUT, way.rootLabels)].each {
                Map<JanusGraphVertex, Iterable<JanusGraphEdge>> passed ->
                for (Iterable<JanusGraphEdge> some : passed.values()) {
                    for (JanusGraphEdge edge : some) {
                        edges.put(edge.longId(), edge)
                    }
                }
            }
        }
        Set<JanusGraphVertex> ends = new LinkedHashSet<>()
        edges.values().each {
            ends.add(it.outVertex())
            ends.add(it.inVertex())
        }
        graph.look(ends)
        // In order, so that what is cut off is the same whoever asks.
        Collection<JanusGraphEdge> whole =
            edges.values().findAll { graph.isKnown(it.outVertex()) && graph.isKnown(it.inVertex()) }
        List<List> inOrder = []
        for (JanusGraphEdge it : whole) {
            inOrder.add([it, [graph.idOf(it.outVertex()), graph.idOf(it.inVertex()), it.label(), it.value('owner')]])
        }
        inOrder.sort { List a, List b -> StratigraphGraph.compare((List) a[1], (List) b[1]) }
        Map<JanusGraphVertex, Integer> places = new LinkedHashMap<>()
        List joined = []
        inOrder.take((int) request.limit).each { List it ->
            JanusGraphEdge edge = (JanusGraphEdge) it[0]
            int from = places.computeIfAbsent(edge.outVertex(), { places.size() })
            int to = places.computeIfAbsent(edge.inVertex(), { places.size() })
            joined.add(StratigraphGraph.row(from, to, StratigraphGraph.facts(edge)))
        }
        List columns = request.with_columns ? links(graph, places) : []
        return [nodes: places.keySet().collect { graph.show(it, 0) }, edges: joined, truncated: [], columns: columns]
    }

    /** The links between columns of these vertices; whose edge is not among those found is told by nobody. */
    static List links(StratigraphGraph graph, Map<JanusGraphVertex, Integer> places) {
        List found = []
        graph.edges(places.keySet(), Direction.OUT, ['COLUMN_DERIVED_FROM'] as String[]).each {
            JanusGraphVertex vertex, Iterable<JanusGraphEdge> some ->
            for (JanusGraphEdge it : some) {
                Integer to = places.get(it.inVertex())
                if (to != null) {
                    found.add([
                        places.get(vertex), to, it.value('of_kind'), it.value('ordinal'), it.value('from_column'),
                        it.value('to_column'), it.property('transformation').orElse(null),
                        it.property('description').orElse(null), it.value('owner')])
                }
            }
        }
        return found
    }
}

JsonOutput.toJson(StratigraphNeighbours.run((JanusGraph) g.getGraph(), (String) request))
