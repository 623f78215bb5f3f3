// All that one owner says, with its columns.
@CompileStatic
class StratigraphOwner {
    static Map run(JanusGraph janusGraph, String text) {
        Map request = (Map) new JsonSlurper().parseText(text)
        StratigraphGraph graph = new StratigraphGraph(janusGraph, request)
        try {
            return answer(graph, (String) request.owner)
        } finally {
            graph.tx.rollback()
        }
    }

    static Map answer(StratigraphGraph graph, String owner) {
        List<JanusGraphEdge> edges = []
        List<JanusGraphEdge> links = []
        Set<JanusGraphVertex> ends = new LinkedHashSet<>()
        graph.tx.query().has('owner', owner).edges().each { JanusGraphEdge it ->
            (it.label() == 'COLUMN_DERIVED_FROM' ? links : edges).add(it)
            ends.add(it.outVertex())
            ends.add(it.inVertex())
        }
        graph.look(ends)
        List<JanusGraphVertex> whole = ends.findAll { graph.isKnown(it) }.toList()
        Map<JanusGraphVertex, Integer> places = new HashMap<>()
        whole.eachWithIndex { JanusGraphVertex it, int place -> places.put(it, place) }
        List joined = []
        edges.each { JanusGraphEdge it ->
            Integer from = places.get(it.outVertex())
            Integer to = places.get(it.inVertex())
            if (from != null && to != null) {
                joined.add(StratigraphGraph.row(from, to, StratigraphGraph.facts(it)))
            }
        }
        List columns = links.collect { JanusGraphEdge it ->
            [places.get(it.outVertex()), places.get(it.inVertex()), it.value('of_kind'), it.value('ordinal'),
             it.value('from_column'), it.value('to_column'), it.property('transformation').orElse(null),
             it.property('description').orElse(null), it.value('owner')]
        }
        return [nodes: whole.collect { graph.show(it, 0) }, edges: joined, truncated: [], columns: columns]
    }
}

JsonOutput.toJson(StratigraphOwner.run((JanusGraph) g.getGraph(), (String) request))
