// Starts GraphiQL with what the page tells it. A file of its own, so that the page's policy needs no inline scripts.
(() => {
  "use strict";
  const config = JSON.parse(document.getElementById("graphiql-config").textContent);
  const fetcher = async (operation, { headers = {} } = {}) => {
    const response = await fetch(config.endpoint, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json, application/json;q=0.9",
        "Content-Type": "application/json",
        ...headers,
      },
      body: JSON.stringify(operation),
    });
    const body = await response.text();
    try {
      return JSON.parse(body);
    } catch {
      // A proxy's error page, say: its words help more than the parser's.
      return { errors: [{ message: `HTTP ${response.status} ${response.statusText}: ${body.slice(0, 2000)}` }] };
    }
  };
  // A name of our own: other GraphiQL pages served from the same host and port leave their tabs behind.
  const storage = GraphiQL.createLocalStorage({ namespace: "stratigraph" });
  const page = React.createElement(
    GraphiQL,
    {
      fetcher,
      storage,
      defaultEditorToolsVisibility: "headers",
      defaultHeaders: config.headers,
      defaultQuery: config.tabs[0].query,
      defaultTabs: config.tabs.map((tab) => ({ ...tab, headers: config.headers })),
      inputValueDeprecation: true,
      schemaDescription: true,
    },
    React.createElement(GraphiQL.Logo, null, config.title),
  );
  ReactDOM.createRoot(document.getElementById("graphiql")).render(page);
})();
