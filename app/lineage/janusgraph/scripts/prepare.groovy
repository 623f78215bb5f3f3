// Makes what is missing of the schema, in one management transaction, and tells which indexes are not enabled yet.
//
// A key and its index are made together: JanusGraph enables an index at once only where nothing can have its key yet.
// Of several processes that do so at the same time one commits; the others fail on a lock, come again and find it done.
import java.time.Instant
import org.apache.tinkerpop.gremlin.structure.Direction
import org.apache.tinkerpop.gremlin.structure.Edge
import org.apache.tinkerpop.gremlin.structure.Vertex
import org.janusgraph.core.Cardinality
import org.janusgraph.core.JanusGraph
import org.janusgraph.core.Multiplicity
import org.janusgraph.core.PropertyKey
import org.janusgraph.core.schema.ConsistencyModifier
import org.janusgraph.core.schema.JanusGraphManagement
import org.janusgraph.core.schema.SchemaAction
import org.janusgraph.core.schema.SchemaStatus
import org.janusgraph.graphdb.database.management.ManagementSystem

Map schema = (Map) new groovy.json.JsonSlurper().parseText((String) request)
JanusGraph store = (JanusGraph) g.getGraph()
Map<String, Class> types = [
    string: String, boolean: Boolean, integer: Integer, long: Long, instant: Instant, uuid: UUID]
List<String> pending = []
boolean isChanged = false
boolean isEnded = false
// One at a time on this server: a commit of the schema is not one step, and what is read in its midst is kept in a cache.
synchronized (store) {
    JanusGraphManagement management = store.openManagement()
    try {
        Set<String> made = []
        schema.keys.each { String name, String type ->
            if (!management.containsPropertyKey(name)) {
                management.makePropertyKey(name).dataType(types[type]).cardinality(Cardinality.SINGLE).make()
                made << name
            }
        }
        schema.vertex_labels.each { String name ->
            if (!management.containsVertexLabel(name)) {
                management.makeVertexLabel(name).make()
                isChanged = true
            }
        }
        schema.edge_labels.each { String name ->
            if (!management.containsEdgeLabel(name)) {
                management.makeEdgeLabel(name).multiplicity(Multiplicity.MULTI).make()
                isChanged = true
            }
        }
        schema.locked_keys.each { String name ->
            if (name in made) {
                management.setConsistency(management.getPropertyKey(name), ConsistencyModifier.LOCK)
            }
        }
        schema.indexes.each { Map wanted ->
            PropertyKey key = management.getPropertyKey((String) wanted.key)
            if (!management.containsGraphIndex((String) wanted.name)) {
                def builder = management.buildIndex((String) wanted.name, wanted.of == 'vertex' ? Vertex : Edge).addKey(key)
                def index = (wanted.unique ? builder.unique() : builder).buildCompositeIndex()
                if (wanted.unique) {
                    management.setConsistency(index, ConsistencyModifier.LOCK)
                }
                isChanged = true
            }
            def index = management.getGraphIndex((String) wanted.name)
            SchemaStatus status = index.getIndexStatus(key)
            if (status == SchemaStatus.REGISTERED) {
                management.updateIndex(index, SchemaAction.ENABLE_INDEX)
                isChanged = true
            } else if (status == SchemaStatus.INSTALLED) {
                // The other instances of a cluster have yet to acknowledge it.
                management.updateIndex(index, SchemaAction.REGISTER_INDEX)
                isChanged = true
            }
            if (status != SchemaStatus.ENABLED) {
                pending << (String) wanted.name
            }
        }
        schema.edge_indexes.each { Map wanted ->
            def label = management.getEdgeLabel((String) wanted.label)
            if (!management.containsRelationIndex(label, (String) wanted.name)) {
                management.buildEdgeIndex(
                    label, (String) wanted.name, Direction.valueOf((String) wanted.direction),
                    management.getPropertyKey((String) wanted.key))
                isChanged = true
            }
            def index = management.getRelationIndex(label, (String) wanted.name)
            if (index.getIndexStatus() != SchemaStatus.ENABLED) {
                pending << (String) wanted.name
            }
        }
        if (isChanged || made) {
            isEnded = true
            management.commit()
        }
    } finally {
        // Not after a commit that failed: it has been rolled back then, and says so in place of why it failed.
        if (!isEnded) {
            management.rollback()
        }
    }
}
groovy.json.JsonOutput.toJson([pending: pending])
