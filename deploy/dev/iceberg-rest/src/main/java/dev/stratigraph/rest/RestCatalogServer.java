package dev.stratigraph.rest;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.iceberg.CatalogProperties;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.http.UriCompliance;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * Serves Iceberg's REST catalog protocol on 127.0.0.1, for development and tests.
 *
 * <p>Iceberg's own reference implementation of the protocol answers the requests; the catalog behind it keeps its
 * pointers in a SQLite file. There is no authentication, therefore it never listens on another address.
 */
public final class RestCatalogServer {
  private static final String USAGE =
      """
      usage: RestCatalogServer PORT DATABASE WAREHOUSE [--exit-with-stdin] [KEY=VALUE ...]
        PORT               0 lets the system choose a free one
        DATABASE           SQLite file, created when missing
        WAREHOUSE          file:///folder or s3://bucket/prefix
        --exit-with-stdin  stop at the end of standard input, so that a killed parent leaves no server behind
        KEY=VALUE          Iceberg catalog properties, such as s3.endpoint=http://127.0.0.1:5000
      Prints READY http://127.0.0.1:PORT once it answers.""";

  private RestCatalogServer() {}

  public static void main(String[] arguments) {
    if (arguments.length < 3) {
      System.err.println(USAGE);
      System.exit(2);
    }
    try {
      run(arguments);
    } catch (Exception | LinkageError e) {
      e.printStackTrace();
      // Threads of the connection pool would keep the process alive, and whoever waits for READY waiting.
      System.exit(1);
    }
  }

  private static void run(String[] arguments) throws Exception {
    int port = Integer.parseInt(arguments[0]);
    boolean exitWithStdin = false;
    Map<String, String> properties = catalogProperties(arguments[1], arguments[2]);
    List<String> options = Arrays.asList(arguments).subList(3, arguments.length);
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

    JdbcCatalog catalog = new JdbcCatalog();
    catalog.initialize("rest", properties);
    Server server = serve(catalog, port);
    int boundPort = ((ServerConnector) server.getConnectors()[0]).getLocalPort();
    System.out.println("READY http://127.0.0.1:" + boundPort);
    System.out.flush();
    if (exitWithStdin) {
      waitForEndOfInput();
      server.stop();
    }
    server.join();
    catalog.close();
  }

  private static Map<String, String> catalogProperties(String database, String warehouse) {
    Map<String, String> properties = new HashMap<>();
    properties.put(CatalogProperties.URI, "jdbc:sqlite:" + database);
    properties.put(CatalogProperties.WAREHOUSE_LOCATION, warehouse);
    properties.put("jdbc.schema-version", "V1");
    // SQLite has one writer: with more connections, concurrent commits would fail as busy instead of waiting their turn.
    properties.put(CatalogProperties.CLIENT_POOL_SIZE, "1");
    String fileIo =
        warehouse.startsWith("s3:") ? "org.apache.iceberg.aws.s3.S3FileIO" : LocalFileIO.class.getName();
    properties.put(CatalogProperties.FILE_IO_IMPL, fileIo);
    return properties;
  }

  private static Server serve(JdbcCatalog catalog, int port) throws Exception {
    Server server = new Server();
    HttpConfiguration http = new HttpConfiguration();
    // The protocol joins the levels of a namespace by %1F, and names may hold %2F: Jetty refuses both by default.
    http.setUriCompliance(UriCompliance.UNSAFE);
    ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(http));
    connector.setHost("127.0.0.1");
    connector.setPort(port);
    server.addConnector(connector);
    ServletContextHandler handler = new ServletContextHandler("/");
    handler.getServletHandler().setDecodeAmbiguousURIs(true);
    handler.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
    server.setHandler(handler);
    server.setStopAtShutdown(true);
    server.start();
    return server;
  }

  private static void waitForEndOfInput() throws IOException {
    byte[] ignored = new byte[256];
    while (System.in.read(ignored) >= 0) {
      // What arrives does not matter, only that the writing end is still open.
    }
  }
}
