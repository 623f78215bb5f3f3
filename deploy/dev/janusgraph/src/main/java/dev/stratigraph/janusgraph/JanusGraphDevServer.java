package dev.stratigraph.janusgraph;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.commons.configuration2.MapConfiguration;
import org.apache.tinkerpop.gremlin.server.GremlinServer;
import org.apache.tinkerpop.gremlin.server.Settings;
import org.apache.tinkerpop.gremlin.server.util.ServerGremlinExecutor;
import org.janusgraph.core.JanusGraph;
import org.janusgraph.core.JanusGraphFactory;

/**
 * Serves a JanusGraph over WebSocket on 127.0.0.1, for development and tests.
 *
 * <p>There is no authentication and clients send scripts, therefore it never listens on another address.
 */
public final class JanusGraphDevServer {
  private static final String HOST = "127.0.0.1";
  private static final String USAGE =
      """
      usage: JanusGraphDevServer PORT BACKEND [--exit-with-stdin] [KEY=VALUE ...]
        PORT               0 takes a free one
        BACKEND            inmemory, berkeleyje with storage.directory=FOLDER, or cql with storage.port=PORT
        --exit-with-stdin  stop at the end of standard input, so that a killed parent leaves no server behind
        KEY=VALUE          JanusGraph properties, over those of the backend
      Prints READY ws://127.0.0.1:PORT/gremlin once it answers.""";

  private JanusGraphDevServer() {}

  public static void main(String[] arguments) {
    if (arguments.length < 2) {
      System.err.println(USAGE);
      System.exit(2);
    }
    try {
      run(arguments);
    } catch (Exception | LinkageError e) {
      e.printStackTrace();
      // The server's threads would keep the process alive, and whoever waits for READY waiting.
      System.exit(1);
    }
  }

  private static void run(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    Map<String, String> properties = propertiesOf(arguments[1]);
    boolean exitWithStdin = false;
    List<String> options = Arrays.asList(arguments).subList(2, arguments.length);
    for (String option : options) {
      int equals = option.indexOf('=');
      if (option.equals("--exit-with-stdin")) {
        exitWithStdin = true;
      } else if (equals > 0) {
        properties.put(option.substring(0, equals), option.substring(equals + 1));
      } else {
        System.err.println("Unknown option " + option + System.lineSeparator() + USAGE);
        System.exit(2);
      }
    }

    JanusGraph graph = JanusGraphFactory.open(new MapConfiguration(properties));
    Settings settings = settings(port == 0 ? freePort() : port);
    GremlinServer server = new GremlinServer(settings);
    bind(server.getServerGremlinExecutor(), graph);
    // Throws what kept it from listening, such as a port in use.
    server.start().get();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server, graph), "stop"));
    System.out.println("READY ws://" + HOST + ":" + settings.port + "/gremlin");
    System.out.flush();
    if (exitWithStdin) {
      waitForEndOfInput();
      System.exit(0);
    }
  }

  private static Map<String, String> propertiesOf(String backend) throws IOException {
    Properties read = new Properties();
    try (InputStream resource = JanusGraphDevServer.class.getResourceAsStream("/" + backend + ".properties")) {
      if (resource == null) {
        System.err.println("Unknown backend " + backend + System.lineSeparator() + USAGE);
        System.exit(2);
      }
      read.load(resource);
    }
    Map<String, String> properties = new TreeMap<>();
    read.stringPropertyNames().forEach(name -> properties.put(name, read.getProperty(name)));
    return properties;
  }

  private static Settings settings(int port) throws IOException {
    try (InputStream resource = JanusGraphDevServer.class.getResourceAsStream("/server.yaml")) {
      Settings settings = Settings.read(resource);
      settings.host = HOST;
      settings.port = port;
      return settings;
    }
  }

  /** Gremlin Server does not tell which port it was given, so it is never asked for 0. */
  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getByName(HOST))) {
      return socket.getLocalPort();
    }
  }

  private static void bind(ServerGremlinExecutor executor, JanusGraph graph) {
    executor.getGraphManager().putGraph("graph", graph);
    executor.getGraphManager().putTraversalSource("g", graph.traversal());
    // What scripts without aliases see; of the managers' entries a copy was made before.
    executor.getGremlinExecutor().getScriptEngineManager().put("graph", graph);
    executor.getGremlinExecutor().getScriptEngineManager().put("g", graph.traversal());
  }

  private static void stop(GremlinServer server, JanusGraph graph) {
    server.stop().join();
    if (graph.isOpen()) {
      graph.close();
    }
  }

  private static void waitForEndOfInput() throws IOException {
    byte[] ignored = new byte[256];
    while (System.in.read(ignored) >= 0) {
      // What arrives does not matter, only that the writing end is still open.
    }
  }
}
