//! OpenAPI schemas of the types that have a `parse`: it accepts every value that the schema allows.
//!
//! Patterns use only syntax that all dialects of regular expressions share. They exclude outer
//! spaces, which `parse` trims.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::identifier::RESERVED;
use crate::limits::{DESCRIPTION_CHARS, PREFIX_BYTES, TAG_CHARS, TAGS};
use crate::{BucketName, Description, Identifier, Name, Prefix, ServerSideEncryption, Tags};

/// U+0000 cannot be stored.
const NO_NUL: &str = r"^[^\x00]*$";

macro_rules! schema {
    ($type:ident, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }
        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    };
}

fn text(description: &str, pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .description(Some(description))
        .pattern(Some(pattern))
}

/// Adds JSON Schema's `not`.
fn excluding(object: ObjectBuilder, excluded: Value) -> Object {
    object
        .extensions(Some(Extensions::from_iter([("not", excluded)])))
        .build()
}

schema!(
    Identifier,
    excluding(
        text(
            "The id of a connector or a streaming destination: unique within its account and its kind, and fixed once saved.",
            "^[a-zA-Z_][0-9a-zA-Z_$]{0,127}$",
        ),
        json!({"enum": RESERVED}),
    )
);

schema!(
    Name,
    text(
        "A display name: letters, digits, spaces and - _ . /, without outer spaces.",
        r"^[0-9A-Za-z\-_./]([0-9A-Za-z\-_./ ]{0,126}[0-9A-Za-z\-_./])?$",
    )
    .build()
);

schema!(
    Description,
    text("Free text; may be empty.", NO_NUL)
        .max_length(Some(DESCRIPTION_CHARS))
        .build()
);

schema!(
    Tags,
    ObjectBuilder::new()
        .description(Some(
            "Labels for organising connectors and destinations: keys with a value, which may be empty."
        ))
        .max_properties(Some(TAGS))
        .property_names(Some(Schema::from(
            text("Not only spaces.", r"^[^\x00]*[^\s\x00][^\x00]*$")
                .max_length(Some(TAG_CHARS))
                .build()
        )))
        .additional_properties(Some(AdditionalProperties::from(RefOr::T(Schema::from(
            text("May be empty.", NO_NUL).max_length(Some(TAG_CHARS)).build()
        )))))
        .build()
);

schema!(
    BucketName,
    excluding(
        text(
            "The name of an S3 bucket, or the alias or ARN of an access point.",
            "^([A-Za-z0-9_][A-Za-z0-9._-]{1,253}[A-Za-z0-9_]|arn:aws[a-z0-9-]{0,13}:s3:[a-z0-9-]{1,32}:[0-9]{12}:accesspoint[/:][a-z0-9-]{1,50})$",
        ),
        json!({"anyOf": [
            {"pattern": r"\.\."},
            {"pattern": r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$"},
            {"pattern": "^(xn--|sthree-|amzn-s3-demo-)"},
            {"pattern": r"(--ol-s3|\.mrap|--x-s3|--table-s3)$"},
        ]}),
    )
);

schema!(
    Prefix,
    excluding(
        text(
            "The beginning of every object key: empty, or a path that ends with /.",
            r"^([A-Za-z0-9!\-_.*'()=][A-Za-z0-9/!\-_.*'()=]*/)?$",
        )
        .max_length(Some(PREFIX_BYTES)),
        json!({"anyOf": [{"pattern": "//"}, {"pattern": r"(^|/)\.\.?/"}]}),
    )
);

schema!(
    ServerSideEncryption,
    Schema::from(
        OneOfBuilder::new()
            .description(Some(
                "How the store encrypts objects at rest: by the bucket's own setting, with keys managed by S3, or with a key of AWS KMS."
            ))
            .item(
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .enum_values(Some(["none", "AES256"]))
            )
            .item(
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::Object))
                    .property(
                        "kms_key_id",
                        ObjectBuilder::new()
                            .schema_type(SchemaType::Type(Type::String))
                            .description(Some("The key's id or ARN."))
                            .pattern(Some("^[!-~]{1,2048}$"))
                    )
                    .required("kms_key_id")
            )
            .build()
    )
);
