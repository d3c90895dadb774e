// Swagger UI with the description of this very server.
window.SwaggerUIBundle({
  url: '/api-docs/openapi.json',
  dom_id: '#description',
  deepLinking: true,
  validatorUrl: null,
  syntaxHighlight: { activated: false },
});
