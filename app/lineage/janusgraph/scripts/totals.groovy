// Vertices and edges by label; reads the whole graph.
@CompileStatic
class StratigraphTotals {
    static final String[] LABELS = [
        'DERIVED_FROM', 'GENERATED_BY', 'CONSUMES', 'PRODUCES', 'TRAINED_ON', 'VERSION_OF']

    static Map run(JanusGraph janusGraph, String text) {
        StratigraphGraph graph = new StratigraphGraph(janusGraph, (Map) new JsonSlurper().parseText(text))
        try {
            return count(graph)
        } finally {
            graph.tx.rollback()
        }
    }

    static Map count(StratigraphGraph graph) {
        Map<String, Integer> vertices = [:]
        Map<String, Integer> edges = [:]
        Iterator<JanusGraphVertex> all = (Iterator<JanusGraphVertex>) (Object) graph.tx.vertices()
        while (all.hasNext()) {
            List<JanusGraphVertex> some = all.take(StratigraphGraph.AT_ONCE).toList()
            graph.look(some)
            List<JanusGraphVertex> versions = []
            some.findAll { graph.isKnown(it) }.each { JanusGraphVertex it ->
                Map<String, Object> known = graph.known.get(it)
                String kind = (String) known.get('kind')
                String label = kind[0] + kind.substring(1).toLowerCase()
                if (known.containsKey('vertex_id')) {
                    label += 'Version'
                    versions.add(it)
                }
                vertices.merge(label, 1, { int a, int b -> a + b })
            }
            graph.edges(versions, Direction.OUT, LABELS).values().each { found ->
                found.each { JanusGraphEdge it -> edges.merge(it.label(), 1, { int a, int b -> a + b }) }
            }
            graph.known.clear()
        }
        return [vertices: vertices, edges: edges]
    }
}

JsonOutput.toJson(StratigraphTotals.run((JanusGraph) g.getGraph(), (String) request))
