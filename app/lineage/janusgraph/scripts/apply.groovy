// Replaces what each of these owners said by what it says now, all of them in one transaction.
//
// JanusGraph alone lets one transaction remove a vertex while another one gives it an edge. So whoever changes the
// edges of a vertex that has few of them counts up its `guard`, a key with LOCK: of two such transactions one fails,
// comes again and sees what the other did. A vertex with many edges cannot lose all of them meanwhile, and needs none;
// hubs are not fought over.
import groovy.json.JsonSlurper
import groovy.transform.CompileStatic
import java.time.Instant
import java.time.temporal.ChronoUnit
import org.apache.tinkerpop.gremlin.structure.Direction
import org.janusgraph.core.JanusGraph
import org.janusgraph.core.JanusGraphEdge
import org.janusgraph.core.JanusGraphRelation
import org.janusgraph.core.JanusGraphTransaction
import org.janusgraph.core.JanusGraphVertex
import org.janusgraph.core.JanusGraphVertexProperty
import org.janusgraph.core.attribute.Contain

/** Reads are of no one moment; this one was in the midst of a commit. Without a cause: a client is told of that alone. */
class StratigraphTornRead extends RuntimeException {
    StratigraphTornRead(String what) {
        super('StratigraphTornRead: ' + what)
    }
}

@CompileStatic
class StratigraphApply {
    static final int FEW = 8
    static final int KEYS_AT_ONCE = 100
    static final String COLUMN = 'COLUMN_DERIVED_FROM'
    static final String[] LABELS = ['DERIVED_FROM', 'GENERATED_BY', 'CONSUMES', 'PRODUCES', 'TRAINED_ON']

    final JanusGraphTransaction tx
    final Map<String, JanusGraphVertex> versions = [:]
    final Map<String, JanusGraphVertex> entities = [:]
    final Set<JanusGraphVertex> touched = new LinkedHashSet<>()
    final Set<JanusGraphVertex> bereft = new LinkedHashSet<>()
    final Set<JanusGraphVertex> made = new HashSet<>()
    int added = 0
    int removed = 0

    StratigraphApply(JanusGraphTransaction tx) {
        this.tx = tx
    }

    static Map run(JanusGraph graph, String request) {
        Map batch = (Map) new JsonSlurper().parseText(request)
        JanusGraphTransaction tx = graph.newTransaction()
        try {
            StratigraphApply apply = new StratigraphApply(tx)
            try {
                apply.replace(batch)
            } catch (IllegalStateException | NoSuchElementException e) {
                // Such as an index that leads to a vertex of which nothing is left.
                throw new StratigraphTornRead(e.toString())
            }
            if (tx.hasModifications()) {
                tx.commit()
            }
            return [added: apply.added, removed: apply.removed]
        } finally {
            if (tx.isOpen()) {
                tx.rollback()
            }
        }
    }

    void replace(Map batch) {
        List<List> wanted = (List<List>) batch.vertices
        List<Map> projections = (List<Map>) batch.owners
        List<String> names = projections.collect { Map it -> (String) it.owner }
        versions.putAll(find('vertex_id', wanted.collect { List it -> (String) it[0] }))
        entities.putAll(find('entity_id', wanted.collect { List it -> (String) it[1] }.unique(false)))
        Map<String, JanusGraphVertex> owners = find('owner_id', names)
        List<JanusGraphVertex> ends = wanted.collect { List it -> version(it) }

        Map<String, List<JanusGraphEdge>> said = [:]
        edgesOf(owners.keySet()).each { JanusGraphEdge edge ->
            said.computeIfAbsent((String) edge.value('owner'), { new ArrayList<JanusGraphEdge>() }).add(edge)
        }
        projections.each { Map it ->
            String owner = (String) it.owner
            boolean isChanged = replaceEdges(owner, said.getOrDefault(owner, []), (List<List>) it.edges, ends)
            JanusGraphVertex keeper = owners[owner]
            if (!it.edges) {
                if (keeper != null) {
                    remove(keeper)
                }
            } else if (keeper == null) {
                keeper = tx.addVertex('Owner')
                keeper.property('owner_id', owner)
                keeper.property('owner_bucket', (Integer) it.bucket)
                keeper.property('guard', 0L)
            } else if (isChanged) {
                guard(keeper)
            }
        }
        touched.each { JanusGraphVertex it -> guard(it) }
        sweep()
    }

    Map<String, JanusGraphVertex> find(String key, List<String> values) {
        Map<String, JanusGraphVertex> found = [:]
        values.collate(KEYS_AT_ONCE).each { List<String> some ->
            tx.query().has(key, Contain.IN, some).vertices().each { JanusGraphVertex it ->
                found[(String) it.value(key)] = it
            }
        }
        return found
    }

    List<JanusGraphEdge> edgesOf(Collection<String> owners) {
        List<JanusGraphEdge> found = []
        new ArrayList<String>(owners).collate(KEYS_AT_ONCE).each { List<String> some ->
            tx.query().has('owner', Contain.IN, some).edges().each { JanusGraphEdge it -> found.add(it) }
        }
        return found
    }

    /** The vertex of a version, made where there is none, and named as it is called now. */
    JanusGraphVertex version(List it) {
        String id = (String) it[0]
        String entityId = (String) it[1]
        String kind = (String) it[3]
        Instant namedAt = instant(it[5])
        JanusGraphVertex entity = entities[entityId]
        JanusGraphVertex vertex = versions[id]
        if (vertex == null) {
            if (entity == null) {
                entity = tx.addVertex(kind[0] + kind.substring(1).toLowerCase())
                entity.property('entity_id', entityId)
                entity.property('kind', kind)
                entity.property('guard', 0L)
                entities[entityId] = entity
                made.add(entity)
            } else if (isFew(entity, Direction.IN, 'VERSION_OF')) {
                touched.add(entity)
            }
            vertex = tx.addVertex(kind[0] + kind.substring(1).toLowerCase() + 'Version')
            vertex.property('vertex_id', id)
            vertex.property('entity', entityId)
            vertex.property('version', it[2])
            vertex.property('kind', kind)
            vertex.property('guard', 0L)
            vertex.addEdge('VERSION_OF', entity)
            versions[id] = vertex
            made.add(vertex)
        }
        name(vertex, (String) it[4], namedAt)
        if (entity != null) {
            name(entity, (String) it[4], namedAt)
        }
        return vertex
    }

    /** The name told last counts, in whatever order it arrives. */
    static void name(JanusGraphVertex vertex, String name, Instant namedAt) {
        Instant before = (Instant) vertex.property('named_at').orElse(null)
        if (before == null || namedAt > before || (namedAt == before && name > (String) vertex.value('name'))) {
            vertex.property('name', name)
            vertex.property('named_at', namedAt)
        }
    }

    boolean replaceEdges(String owner, List<JanusGraphEdge> said, List<List> says, List<JanusGraphVertex> ends) {
        Map<List, List> missing = new LinkedHashMap<>()
        says.each { List it ->
            JanusGraphVertex from = ends[(int) it[1]]
            JanusGraphVertex to = ends[(int) it[2]]
            missing[facts((String) it[0], from, to, it)] = it
            ((List<List>) it[7]).eachWithIndex { List link, int ordinal ->
                missing[[COLUMN, it[0], from.id(), to.id(), ordinal] + link] = it
            }
        }
        boolean isChanged = false
        said.each { JanusGraphEdge edge ->
            if (missing.remove(facts(edge)) == null) {
                bereft.add(edge.outVertex())
                bereft.add(edge.inVertex())
                if (edge.label() != COLUMN) {
                    removed++
                }
                edge.remove()
                isChanged = true
            }
        }
        missing.each { List facts, List it ->
            JanusGraphVertex from = ends[(int) it[1]]
            JanusGraphVertex to = ends[(int) it[2]]
            add(owner, facts, it, from, to)
            isChanged = true
        }
        return isChanged
    }

    /** All that an edge says, so that equal ones stay. */
    static List facts(String label, JanusGraphVertex from, JanusGraphVertex to, List it) {
        return [label, from.id(), to.id(), it[3], instant(it[4]), it[5] ? UUID.fromString((String) it[5]) : null, it[6]]
    }

    static List facts(JanusGraphEdge edge) {
        Object from = edge.outVertex().id()
        Object to = edge.inVertex().id()
        if (edge.label() == COLUMN) {
            return [
                COLUMN, edge.value('of_kind'), from, to, edge.value('ordinal'), edge.value('from_column'),
                edge.value('to_column'), edge.property('transformation').orElse(null),
                edge.property('description').orElse(null)]
        }
        return [
            edge.label(), from, to, edge.value('source'), edge.value('recorded_at'),
            edge.property('run_id').orElse(null), edge.value('is_inferred')]
    }

    void add(String owner, List facts, List it, JanusGraphVertex from, JanusGraphVertex to) {
        [from, to].each { JanusGraphVertex end ->
            if (!(end in made) && !(end in touched) && isFew(end, Direction.BOTH, LABELS)) {
                touched.add(end)
            }
        }
        String label = (String) facts[0]
        JanusGraphEdge edge = (JanusGraphEdge) from.addEdge(label, to)
        edge.property('owner', owner)
        if (label == COLUMN) {
            edge.property('of_kind', facts[1])
            edge.property('ordinal', facts[4])
            edge.property('from_column', facts[5])
            edge.property('to_column', facts[6])
            set(edge, 'transformation', facts[7])
            set(edge, 'description', facts[8])
            return
        }
        edge.property('source', facts[3])
        edge.property('recorded_at', facts[4])
        set(edge, 'run_id', facts[5])
        edge.property('is_inferred', facts[6])
        added++
    }

    static void set(JanusGraphEdge edge, String key, Object value) {
        if (value != null) {
            edge.property(key, value)
        }
    }

    /** Vertices go with their last edge, and entities with their last version. */
    void sweep() {
        Set<JanusGraphVertex> emptied = new LinkedHashSet<>()
        // Before their edges: a guard read later may be that of a writer whose edge was not seen.
        bereft.each { JanusGraphVertex it -> it.value('guard') }
        bereft.each { JanusGraphVertex vertex ->
            int left = count(vertex, Direction.BOTH, LABELS)
            if (left == 0) {
                tx.multiQuery(vertex).direction(Direction.OUT).labels('VERSION_OF').vertices().values().each {
                    Iterable<JanusGraphVertex> some -> some.each { JanusGraphVertex it -> emptied.add(it) }
                }
                remove(vertex)
            } else if (left < FEW && !(vertex in made) && !(vertex in touched)) {
                guard(vertex)
            }
        }
        emptied.each { JanusGraphVertex entity ->
            entity.value('guard')
            int left = count(entity, Direction.IN, 'VERSION_OF')
            if (left == 0) {
                remove(entity)
            } else if (left < FEW && !(entity in made) && !(entity in touched)) {
                guard(entity)
            }
        }
    }

    boolean isFew(JanusGraphVertex vertex, Direction direction, String... labels) {
        return count(vertex, direction, labels) < FEW
    }

    static int count(JanusGraphVertex vertex, Direction direction, String... labels) {
        int found = 0
        vertex.query().direction(direction).labels(labels).limit(FEW).edges().each { found++ }
        return found
    }

    static void guard(JanusGraphVertex vertex) {
        vertex.property('guard', 1L + (long) vertex.value('guard'))
    }

    /**
     * Removes a vertex without edges, but for its own VERSION_OF.
     *
     * <p>All of it is read at once, and removed as it was read then. Who gave it an edge before has counted up its guard,
     * which was read first and would differ; who does so later fails on the guard's lock.
     */
    static void remove(JanusGraphVertex vertex) {
        Object guard = vertex.value('guard')
        for (JanusGraphRelation it : vertex.query().direction(Direction.BOTH).relations()) {
            boolean isChanged = it.isEdge()
                ? it.getType().name() != 'VERSION_OF' || it.direction(vertex) != Direction.OUT
                : it.getType().name() == 'guard' && ((JanusGraphVertexProperty) it).value() != guard
            if (isChanged) {
                throw new StratigraphTornRead('a vertex that was to go has another edge')
            }
        }
        vertex.remove()
    }

    static Instant instant(Object micros) {
        return Instant.EPOCH.plus(((Number) micros).longValue(), ChronoUnit.MICROS)
    }
}

groovy.json.JsonOutput.toJson(StratigraphApply.run((JanusGraph) g.getGraph(), (String) request))
