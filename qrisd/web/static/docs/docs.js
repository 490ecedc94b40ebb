"use strict";

// A call's heading is a button: the link that stands in it would be a control within a control. The address bar follows
// what is opened without it.
const headingsWithoutLinks = ({ React }) => ({
  wrapComponents: { DeepLink: () => ({ text }) => React.createElement("span", null, text) },
});

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  plugins: [headingsWithoutLinks],
  syntaxHighlight: { theme: "tomorrow-night" },
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // An API key typed in here stays in this tab.
  persistAuthorization: false,
  // The default asks another host whether the document is valid.
  validatorUrl: null,
});

// What it draws without a name, or out of the keyboard's reach.
new MutationObserver(() => {
  for (const one of document.querySelectorAll(".swagger-ui :is(select, textarea):not([aria-label])")) {
    one.setAttribute("aria-label", one.closest("[data-param-name]")?.dataset.paramName ?? "Example");
  }
  for (const one of document.querySelectorAll("pre.microlight:not([tabindex])")) one.tabIndex = 0;
}).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
