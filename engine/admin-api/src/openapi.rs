//! The OpenAPI 3.1 document, made from the types.
//!
//! Comments on types and fields become descriptions. What is sent is described as it is read, and
//! what is answered as it is written: a key that is always there is required.

use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Answer, Endpoint, JsonQuestion, LiveEvent, LiveQuestion, LiveStream, MetricsText, OpenApiText,
    PolicyModule, Problem, PurgeRequest, PushTableRequest, Question, ReadyRequest,
    RollBackTableRequest, StartWarmRequest, StatsRequest, endpoints,
};

/// The document, as it is committed.
pub fn document() -> String {
    let mut builder = Builder::new();
    endpoints::describe_each!(builder);
    serde_json::to_string_pretty(&builder.finish()).expect("the document can be written as JSON")
        + "\n"
}

/// A document in the making.
pub(crate) struct Builder {
    paths: BTreeMap<&'static str, BTreeMap<String, Operation>>,
    /// Of what is sent, as it is read.
    questions: SchemaGenerator,
    /// Of what is answered, as it is written.
    answers: SchemaGenerator,
}

#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: DocumentInfo,
    security: [SecurityRequirement; 2],
    paths: BTreeMap<&'static str, BTreeMap<String, Operation>>,
    components: Components,
}

/// Schemes by name; without any, nothing is required.
type SecurityRequirement = BTreeMap<&'static str, [&'static str; 0]>;

#[derive(Serialize)]
struct DocumentInfo {
    title: &'static str,
    version: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    operation_id: &'static str,
    summary: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Absent, it is that of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<[SecurityRequirement; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<RequestContent>,
    responses: BTreeMap<String, ResponseKind>,
}

#[derive(Serialize)]
pub(crate) struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: &'static str,
    required: bool,
    schema: Schema,
}

#[derive(Serialize)]
struct RequestContent {
    required: bool,
    content: Contents,
}

/// Schemas by media type.
type Contents = BTreeMap<&'static str, MediaType>;

#[derive(Serialize)]
struct MediaType {
    schema: Schema,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResponseKind {
    Reference {
        #[serde(rename = "$ref")]
        reference: &'static str,
    },
    Inline {
        description: String,
        content: Contents,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Components {
    security_schemes: BTreeMap<&'static str, SecurityScheme>,
    responses: BTreeMap<&'static str, ResponseKind>,
    schemas: BTreeMap<String, Schema>,
}

#[derive(Serialize)]
struct SecurityScheme {
    #[serde(rename = "type")]
    kind: &'static str,
    scheme: &'static str,
}

impl Builder {
    fn new() -> Builder {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Builder {
            paths: BTreeMap::new(),
            questions: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// Adds an operation.
    pub(crate) fn describe<E: Endpoint>(&mut self)
    where
        E::Request: QuestionSchema,
        E::Response: AnswerSchema,
    {
        let (summary, description) = paragraphs(E::DOC);
        let mut parameters = path_parameters(E::PATH);
        parameters.extend(E::Request::parameters(&mut self.questions));
        let request_body = E::Request::MEDIA_TYPE.map(|media_type| RequestContent {
            required: true,
            content: contents(media_type, E::Request::schema(&mut self.questions)),
        });
        let schema = E::Response::schema(&mut self.answers);
        let mut content = contents(E::Response::MEDIA_TYPE, schema.clone());
        let other = E::Response::OTHER_MEDIA_TYPE;
        content.extend(
            other
                .into_iter()
                .flat_map(|other| contents(other, schema.clone())),
        );
        let answer = ResponseKind::Inline {
            description: E::Response::description(&mut self.answers),
            content,
        };
        let mut responses = BTreeMap::from([(E::STATUS.as_str().to_owned(), answer)]);
        if let Some(other) = E::OTHER_STATUS {
            let answer = ResponseKind::Inline {
                description: format!(
                    "{} Something is left to be done.",
                    E::Response::description(&mut self.answers)
                ),
                content: contents(E::Response::MEDIA_TYPE, schema),
            };
            responses.insert(other.as_str().to_owned(), answer);
        }
        for status in refusals::<E>() {
            responses.insert(
                status.to_string(),
                ResponseKind::Reference {
                    reference: "#/components/responses/Problem",
                },
            );
        }
        let operation = Operation {
            operation_id: E::NAME,
            summary,
            description,
            security: E::IS_OPEN.then(|| [SecurityRequirement::new()]),
            parameters,
            request_body,
            responses,
        };
        self.paths
            .entry(E::PATH)
            .or_default()
            .insert(E::METHOD.as_str().to_lowercase(), operation);
    }

    fn finish(mut self) -> Document {
        let problem = ResponseKind::Inline {
            description: "What is wrong, and what to do instead.".to_owned(),
            content: contents(crate::JSON, self.answers.subschema_for::<Problem>()),
        };
        let mut schemas = BTreeMap::new();
        for (name, schema) in [self.questions, self.answers]
            .iter_mut()
            .flat_map(|generator| generator.take_definitions(true))
        {
            let mut schema = Schema::try_from(schema).expect("definitions are schemas");
            RecursiveTransform(plain).transform(&mut schema);
            let before = schemas.insert(name.clone(), schema);
            assert!(before.is_none(), "{name} is both sent and answered");
        }
        Document {
            openapi: "3.1.0",
            info: DocumentInfo {
                title: "tero admin interface",
                version: env!("CARGO_PKG_VERSION"),
                description: "Health, figures, purges, warming and versions of policies of one edge. It listens \
                              on loopback by default. If a token is configured, every request but those for \
                              /health and /ready carries it as `Authorization: Bearer TOKEN`; without one, \
                              requests from pages in a browser are refused.",
            },
            security: [
                SecurityRequirement::from([("token", [])]),
                SecurityRequirement::new(),
            ],
            paths: self.paths,
            components: Components {
                security_schemes: BTreeMap::from([(
                    "token",
                    SecurityScheme {
                        kind: "http",
                        scheme: "bearer",
                    },
                )]),
                responses: BTreeMap::from([("Problem", problem)]),
                schemas,
            },
        }
    }
}

/// How a question is described.
pub(crate) trait QuestionSchema: Question {
    /// The parameters of the query.
    fn parameters(_: &mut SchemaGenerator) -> Vec<Parameter> {
        Vec::new()
    }

    /// The content, if there is one.
    fn schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

impl QuestionSchema for () {}

impl<T: JsonQuestion + JsonSchema> QuestionSchema for T {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl QuestionSchema for PurgeRequest {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<PurgeRequest>()
    }
}

/// Any bytes, beside the query.
impl QuestionSchema for PolicyModule {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<PolicyModule>(generator)
    }
}

/// Any bytes, beside the query.
impl QuestionSchema for PushTableRequest {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<PushTableRequest>(generator)
    }
}

impl QuestionSchema for RollBackTableRequest {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<RollBackTableRequest>(generator)
    }
}

impl QuestionSchema for ReadyRequest {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<ReadyRequest>(generator)
    }
}

impl QuestionSchema for StatsRequest {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<StatsRequest>(generator)
    }
}

impl QuestionSchema for StartWarmRequest {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<StartWarmRequest>(generator)
    }
}

impl QuestionSchema for LiveQuestion {
    fn parameters(generator: &mut SchemaGenerator) -> Vec<Parameter> {
        query_parameters::<LiveQuestion>(generator)
    }
}

/// How an answer is described.
pub(crate) trait AnswerSchema: Answer {
    /// What it is.
    fn description(generator: &mut SchemaGenerator) -> String;

    /// Its content.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: Serialize + DeserializeOwned + JsonSchema> AnswerSchema for T {
    fn description(generator: &mut SchemaGenerator) -> String {
        let mut schema = T::json_schema(generator);
        plain(&mut schema);
        let description = schema.get("description").and_then(|text| text.as_str());
        description
            .expect("the type of an answer has a comment")
            .to_owned()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl AnswerSchema for MetricsText {
    fn description(_: &mut SchemaGenerator) -> String {
        "Prometheus's text format; OpenMetrics text if `Accept` asks for it.".to_owned()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl AnswerSchema for LiveStream {
    fn description(_: &mut SchemaGenerator) -> String {
        "Lines of JSON, each of this form.".to_owned()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<LiveEvent>()
    }
}

impl AnswerSchema for OpenApiText {
    fn description(_: &mut SchemaGenerator) -> String {
        "OpenAPI 3.1.".to_owned()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// The first paragraph without its full stop, and the rest.
fn paragraphs(doc: &[&str]) -> (String, String) {
    let mut lines = doc.iter().map(|line| line.trim());
    let first: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let rest: Vec<&str> = lines.collect();
    (
        first.join(" ").trim_end_matches('.').to_owned(),
        rest.join(" "),
    )
}

/// Names are text; the `id` of a run is a number.
fn path_parameters(path: &str) -> Vec<Parameter> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| Parameter {
            name: name.to_owned(),
            place: "path",
            required: true,
            schema: match name {
                "id" => json_schema!({ "type": "integer", "minimum": 1 }),
                _ => json_schema!({ "type": "string", "pattern": "^[a-z0-9_-]{1,64}$" }),
            },
        })
        .collect()
}

/// The fields of `T`, none of which is required.
fn query_parameters<T: JsonSchema>(generator: &mut SchemaGenerator) -> Vec<Parameter> {
    let schema = T::json_schema(generator);
    let fields = schema
        .get("properties")
        .and_then(|fields| fields.as_object());
    fields
        .into_iter()
        .flatten()
        .map(|(name, schema)| Parameter {
            name: name.clone(),
            place: "query",
            required: false,
            schema: Schema::try_from(schema.clone()).expect("properties are schemas"),
        })
        .collect()
}

/// What the server refuses, and what the interface refuses before.
fn refusals<E: Endpoint>() -> Vec<u16> {
    let mut statuses = E::REFUSALS.to_vec();
    if !E::IS_OPEN {
        statuses.extend([401, 403]);
    }
    if let Some(media_type) = E::Request::MEDIA_TYPE {
        statuses.extend([408, 413]);
        statuses.extend((media_type == crate::JSON).then_some(400));
    }
    statuses
}

fn contents(media_type: &'static str, schema: Schema) -> Contents {
    let media_type = media_type.split(';').next().unwrap_or(media_type);
    BTreeMap::from([(media_type, MediaType { schema })])
}

/// Of several alternatives exactly one is meant, the size of a number in memory is not of interest,
/// and descriptions are not broken into lines.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    if let Some(alternatives) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), alternatives);
    }
    if let Some(serde_json::Value::String(text)) = schema.get_mut("description") {
        *text = text.replace("\n\n", " ").replace('\n', " ");
    }
}
