// What one hop is, and how it is read. Comes before the scripts that read.
//
// Hops are made by hand, a level at a time, rather than by a traversal's repeat(): a level has to be complete before it
// can be cut in a stable order, the clock is looked at between reads, and what was met until then can be answered.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import groovy.transform.CompileStatic
import java.time.Instant
import java.time.temporal.ChronoUnit
import org.apache.tinkerpop.gremlin.structure.Direction
import org.janusgraph.core.JanusGraph
import org.janusgraph.core.JanusGraphEdge
import org.janusgraph.core.JanusGraphMultiVertexQuery
import org.janusgraph.core.JanusGraphTransaction
import org.janusgraph.core.JanusGraphVertex
import org.janusgraph.core.JanusGraphVertexProperty
import org.janusgraph.core.VertexList
import org.janusgraph.core.attribute.Contain

class StratigraphOutOfTime extends RuntimeException {}

/** One direction: which edges it passes, and along which (always from `from` to `to`) it leaves a pipeline as root. */
@CompileStatic
class StratigraphWay {
    final Direction direction
    final String[] labels
    final String[] rootLabels

    StratigraphWay(Map it) {
        direction = Direction.valueOf((String) it.direction)
        labels = ((List<String>) it.labels) as String[]
        rootLabels = ((List<String>) it.root_labels) as String[]
    }
}

@CompileStatic
class StratigraphGraph {
    /** How many vertices are read at once, and so how often the clock is looked at. */
    static final int AT_ONCE = 500
    static final int KEYS_AT_ONCE = 100
    static final String LEAF = 'PIPELINE'

    final JanusGraphTransaction tx
    final long start = System.nanoTime()
    final long budget
    private long deadline
    /** Properties by name of the vertices that were looked at. */
    final Map<JanusGraphVertex, Map<String, Object>> known = new HashMap<>()

    StratigraphGraph(JanusGraph graph, Map request) {
        tx = graph.buildTransaction().readOnly().vertexCacheSize(100_000).start()
        budget = 1_000_000L * ((Number) request.budget_ms).longValue()
        allow(1.0d)
    }

    /** From now on up to this share of the whole time may be used. */
    void allow(double share) {
        deadline = start + (long) (budget * share)
    }

    List<JanusGraphVertex> find(String key, Collection<String> values) {
        List<JanusGraphVertex> found = []
        new ArrayList<String>(values).collate(KEYS_AT_ONCE).each { List<String> some ->
            tx.query().has(key, Contain.IN, some).vertices().each { JanusGraphVertex it -> found.add(it) }
        }
        return found
    }

    List<List<JanusGraphVertex>> chunks(Collection<JanusGraphVertex> vertices) {
        return new ArrayList<JanusGraphVertex>(vertices).collate(AT_ONCE)
    }

    void checkTime() {
        if (System.nanoTime() > deadline) {
            throw new StratigraphOutOfTime()
        }
    }

    /** Adds the vertices at the other ends. */
    void across(Collection<JanusGraphVertex> near, Direction direction, String[] labels, Set<JanusGraphVertex> found) {
        for (List<JanusGraphVertex> some : chunks(near)) {
            checkTime()
            // Without their edges, whose properties would have to be parsed.
            Map<JanusGraphVertex, VertexList> far = tx.multiQuery(some).direction(direction).labels(labels).vertexIds()
            for (VertexList ends : far.values()) {
                for (JanusGraphVertex end : ends) {
                    found.add(end)
                }
            }
        }
    }

    /** The edges by the vertex at which they were asked for. */
    Map<JanusGraphVertex, Iterable<JanusGraphEdge>> edges(
            Collection<JanusGraphVertex> near, Direction direction, String[] labels) {
        Map<JanusGraphVertex, Iterable<JanusGraphEdge>> found = new LinkedHashMap<>()
        for (List<JanusGraphVertex> some : chunks(near)) {
            checkTime()
            found.putAll(tx.multiQuery(some).direction(direction).labels(labels).edges())
        }
        return found
    }

    /** Reads these properties, or all where none is named, of the vertices that were not looked at before. */
    void look(Collection<JanusGraphVertex> vertices, String... keys) {
        List<JanusGraphVertex> unknown = []
        for (JanusGraphVertex vertex : vertices) {
            if (!known.containsKey(vertex)) {
                unknown.add(vertex)
            }
        }
        for (List<JanusGraphVertex> some : chunks(unknown)) {
            checkTime()
            Map<JanusGraphVertex, Iterable<JanusGraphVertexProperty>> read = keys.length == 0
                ? tx.multiQuery(some).properties()
                : tx.multiQuery(some).keys(keys).properties()
            for (JanusGraphVertex vertex : some) {
                // Nothing, where it was removed meanwhile: such a one is neither shown nor a leaf.
                Map<String, Object> values = new HashMap<>()
                Iterable<JanusGraphVertexProperty> found = read.get(vertex)
                if (found != null) {
                    for (JanusGraphVertexProperty property : found) {
                        values.put(property.key(), property.value())
                    }
                }
                known.put(vertex, values)
            }
        }
    }

    boolean isKnown(JanusGraphVertex vertex) {
        return known.get(vertex).containsKey('kind')
    }

    boolean isLeaf(JanusGraphVertex vertex) {
        return known.get(vertex).get('kind') == LEAF
    }

    List<JanusGraphVertex> leaves(Collection<JanusGraphVertex> vertices, boolean wanted) {
        return vertices.findAll { JanusGraphVertex it -> isLeaf(it) == wanted }.toList()
    }

    /** All that is shown of a version or entity. */
    List show(JanusGraphVertex vertex, int depth) {
        Map<String, Object> it = known.get(vertex)
        Object entity = it.containsKey('entity') ? it.get('entity') : it.get('entity_id')
        return [depth, entity, it.get('version'), it.get('kind'), it.get('name')]
    }

    String idOf(JanusGraphVertex vertex) {
        Map<String, Object> it = known.get(vertex)
        return (String) (it.containsKey('vertex_id') ? it.get('vertex_id') : it.get('entity_id'))
    }

    /** What an edge says beside its ends. */
    static List facts(JanusGraphEdge edge) {
        UUID run = (UUID) edge.property('run_id').orElse(null)
        Instant recordedAt = (Instant) edge.value('recorded_at')
        return [
            edge.label(), edge.value('owner'), edge.value('source'),
            ChronoUnit.MICROS.between(Instant.EPOCH, recordedAt), run?.toString(), edge.value('is_inferred')]
    }

    static List row(int from, int to, List facts) {
        List row = new ArrayList(facts.size() + 2)
        row.add(from)
        row.add(to)
        row.addAll(facts)
        return row
    }

    /** By code points, as Python orders: Java's own order puts half of a pair before what is single. */
    static int compare(String a, String b) {
        int length = Math.min(a.length(), b.length())
        for (int i = 0; i < length; i++) {
            char left = a.charAt(i)
            char right = b.charAt(i)
            if (left != right) {
                boolean isLeftHalf = Character.isSurrogate(left)
                return isLeftHalf == Character.isSurrogate(right) ? left <=> right : (isLeftHalf ? 1 : -1)
            }
        }
        return a.length() <=> b.length()
    }

    static int compare(List a, List b) {
        for (int i = 0; i < a.size(); i++) {
            int order = compare((String) a.get(i), (String) b.get(i))
            if (order != 0) {
                return order
            }
        }
        return 0
    }
}
