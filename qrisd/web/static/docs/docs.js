"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // An API key typed in here stays in this tab.
  persistAuthorization: false,
  // The default asks another host whether the document is valid.
  validatorUrl: null,
});
