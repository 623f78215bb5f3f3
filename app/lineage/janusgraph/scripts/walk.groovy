// Breadth first, a level at a time, in one or two directions; then the edges among what is shown.
@CompileStatic
class StratigraphWalk {
    static final double WALKING_SHARE = 0.7d

    final StratigraphGraph graph
    final boolean isOfEntities
    final int depth
    final int maxNodes
    final boolean isCount
    final Set<String> kinds
    final Set<String> truncated = new TreeSet<>()
    final String[] properties

    StratigraphWalk(StratigraphGraph graph, Map request) {
        this.graph = graph
        isOfEntities = request.grain == 'ENTITY'
        depth = (int) request.depth
        isCount = (boolean) request.is_count
        maxNodes = isCount ? Integer.MAX_VALUE : (int) request.max_nodes
        kinds = new HashSet<String>((List<String>) request.kinds)
        // To count, the kind of what is met is enough.
        properties = isCount ? (['kind'] as String[]) : new String[0]
    }

    static Map run(JanusGraph janusGraph, String text) {
        Map request = (Map) new JsonSlurper().parseText(text)
        StratigraphGraph graph = new StratigraphGraph(janusGraph, request)
        try {
            return new StratigraphWalk(graph, request).answer(request)
        } finally {
            graph.tx.rollback()
        }
    }

    Map answer(Map request) {
        Map<JanusGraphVertex, Integer> found = new LinkedHashMap<>()
        Map<Object, List> edges = new LinkedHashMap<>()
        try {
            List<JanusGraphVertex> roots = roots((String) request.root)
            graph.look(roots, properties)
            ((List<Map>) request.ways).each { Map it ->
                StratigraphWay way = new StratigraphWay(it)
                Map<JanusGraphVertex, Integer> shown = cut(levels(roots, way))
                shown.each { JanusGraphVertex vertex, Integer at ->
                    found.put(vertex, Math.min(at, found.getOrDefault(vertex, at)))
                }
                if (!isCount && shown) {
                    isOfEntities ? rollUp(roots, way, shown, edges) : join(roots, way, shown, edges)
                }
            }
        } catch (StratigraphOutOfTime e) {
            truncated.add('TIMEOUT')
        }
        if (isCount) {
            return [count: found.values().count { it > 0 }, truncated: truncated]
        }
        return show(cut(found), edges.values())
    }

    /** A version by its id, else all versions of the entity; or the entity of either. */
    List<JanusGraphVertex> roots(String root) {
        List<JanusGraphVertex> version = graph.find('vertex_id', [root])
        if (version) {
            return isOfEntities ? entities(version).toList() : version
        }
        List<JanusGraphVertex> entity = graph.find('entity_id', [root])
        return isOfEntities ? entity : versions(entity).toList()
    }

    Set<JanusGraphVertex> entities(Collection<JanusGraphVertex> versions) {
        Set<JanusGraphVertex> found = new LinkedHashSet<>()
        graph.across(versions, Direction.OUT, ['VERSION_OF'] as String[], found)
        return found
    }

    Set<JanusGraphVertex> versions(Collection<JanusGraphVertex> entities) {
        Set<JanusGraphVertex> found = new LinkedHashSet<>()
        graph.across(entities, Direction.IN, ['VERSION_OF'] as String[], found)
        return found
    }

    /** What is shown of what is met, with its depth; complete up to a level with which it is more than is wanted. */
    Map<JanusGraphVertex, Integer> levels(List<JanusGraphVertex> roots, StratigraphWay way) {
        Map<JanusGraphVertex, Integer> shown = new LinkedHashMap<>()
        Set<JanusGraphVertex> met = new HashSet<>(roots)
        roots.each { shown.put(it, 0) }
        Collection<JanusGraphVertex> level = roots
        // The rest is for reading the edges of what was met.
        graph.allow(WALKING_SHARE)
        try {
            for (int at = 1; level && shown.size() <= maxNodes; at++) {
                Set<JanusGraphVertex> next = hop(level, way, at == 1)
                next.removeAll { JanusGraphVertex it -> met.contains(it) }
                graph.look(next, properties)
                if (at > depth) {
                    if (next.any { JanusGraphVertex it -> isShown(it) || !graph.isLeaf(it) }) {
                        truncated.add('DEPTH')
                    }
                    break
                }
                met.addAll(next)
                for (JanusGraphVertex it : next) {
                    if (isShown(it)) {
                        shown.put(it, at)
                    }
                }
                level = next
            }
        } catch (StratigraphOutOfTime e) {
            truncated.add('TIMEOUT')
        }
        graph.allow(1.0d)
        return shown
    }

    boolean isShown(JanusGraphVertex vertex) {
        return kinds.contains(graph.known.get(vertex).get('kind'))
    }

    Set<JanusGraphVertex> hop(Collection<JanusGraphVertex> level, StratigraphWay way, boolean isFirst) {
        Set<JanusGraphVertex> far = new LinkedHashSet<>()
        List<JanusGraphVertex> walked = graph.leaves(level, false)
        graph.across(isOfEntities ? versions(walked) : walked, way.direction, way.labels, far)
        if (isFirst) {
            List<JanusGraphVertex> pipelines = graph.leaves(level, true)
            graph.across(isOfEntities ? versions(pipelines) : pipelines, Direction.OUT, way.rootLabels, far)
        }
        return isOfEntities ? entities(far) : far
    }

    /** Those first by depth and id, as many as are wanted. */
    Map<JanusGraphVertex, Integer> cut(Map<JanusGraphVertex, Integer> shown) {
        if (shown.size() <= maxNodes) {
            return shown
        }
        truncated.add('NODE_LIMIT')
        Map<JanusGraphVertex, Integer> kept = new LinkedHashMap<>()
        List<JanusGraphVertex> inOrder = new ArrayList<>(shown.keySet())
        inOrder.sort { JanusGraphVertex a, JanusGraphVertex b ->
            int byDepth = Integer.compare(shown.get(a), shown.get(b))
            return byDepth != 0 ? byDepth : StratigraphGraph.compare(graph.idOf(a), graph.idOf(b))
        }
        for (JanusGraphVertex it : inOrder.subList(0, maxNodes)) {
            kept.put(it, shown.get(it))
        }
        return kept
    }

    /** The edges that the way passes between these, as [from, to, facts]. */
    void join(
            List<JanusGraphVertex> roots, StratigraphWay way, Map<JanusGraphVertex, Integer> shown,
            Map<Object, List> edges) {
        passed(shown.keySet(), roots, way).each { JanusGraphEdge edge ->
            JanusGraphVertex from = edge.outVertex()
            JanusGraphVertex to = edge.inVertex()
            if (shown.containsKey(from) && shown.containsKey(to)) {
                edges.put(edge.longId(), [from, to, StratigraphGraph.facts(edge)])
            }
        }
    }

    List<JanusGraphEdge> passed(Collection<JanusGraphVertex> near, List<JanusGraphVertex> roots, StratigraphWay way) {
        List<JanusGraphEdge> found = []
        graph.edges(graph.leaves(near, false), way.direction, way.labels).values().each { found.addAll(it) }
        graph.edges(graph.leaves(roots, true), Direction.OUT, way.rootLabels).values().each { found.addAll(it) }
        return found
    }

    /** The same between entities; of several edges the one whose ends, kind and owner come first lends its facts. */
    void rollUp(
            List<JanusGraphVertex> roots, StratigraphWay way, Map<JanusGraphVertex, Integer> shown,
            Map<Object, List> edges) {
        Set<JanusGraphVertex> near = versions(shown.keySet())
        graph.look(near)
        List<JanusGraphEdge> passed = passed(near, versions(roots).toList(), way)
        Set<JanusGraphVertex> ends = new LinkedHashSet<>()
        passed.each {
            ends.add(it.outVertex())
            ends.add(it.inVertex())
        }
        graph.look(ends)
        Map<String, JanusGraphVertex> entities = new HashMap<>()
        shown.keySet().each { entities.put(graph.idOf(it), it) }
        passed.findAll { graph.isKnown(it.outVertex()) && graph.isKnown(it.inVertex()) }.each { JanusGraphEdge edge ->
            JanusGraphVertex from = entities.get(graph.known.get(edge.outVertex()).get('entity'))
            JanusGraphVertex to = entities.get(graph.known.get(edge.inVertex()).get('entity'))
            if (from == null || to == null || from == to) {
                return
            }
            List order = [graph.idOf(edge.outVertex()), graph.idOf(edge.inVertex()), edge.value('owner')]
            List key = [from, to, edge.label()]
            List before = edges.get(key)
            if (before == null || StratigraphGraph.compare(order, (List) before[3]) < 0) {
                edges.put(key, [from, to, StratigraphGraph.facts(edge), order])
            }
        }
    }

    Map show(Map<JanusGraphVertex, Integer> shown, Collection<List> edges) {
        Map<JanusGraphVertex, Integer> places = new HashMap<>()
        List nodes = []
        shown.each { JanusGraphVertex vertex, Integer at ->
            places.put(vertex, places.size())
            nodes.add(graph.show(vertex, at))
        }
        List joined = []
        for (List edge : edges) {
            Integer from = places.get(edge[0])
            Integer to = places.get(edge[1])
            if (from != null && to != null) {
                joined.add(StratigraphGraph.row(from, to, (List) edge[2]))
            }
        }
        return [nodes: nodes, edges: joined, truncated: truncated]
    }
}

JsonOutput.toJson(StratigraphWalk.run((JanusGraph) g.getGraph(), (String) request))
