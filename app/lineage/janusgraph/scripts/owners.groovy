// The owners in some of the buckets: an index of ours, because JanusGraph alone would read every vertex.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.janusgraph.core.JanusGraph
import org.janusgraph.core.attribute.Contain

Map asked = (Map) new JsonSlurper().parseText((String) request)
def tx = ((JanusGraph) g.getGraph()).buildTransaction().readOnly().start()
try {
    List names = []
    tx.query().has('owner_bucket', Contain.IN, asked.buckets).vertices().each {
        // None, where it was removed since the index was read.
        it.property('owner_id').ifPresent { names << it }
    }
    return JsonOutput.toJson(names)
} finally {
    tx.rollback()
}
