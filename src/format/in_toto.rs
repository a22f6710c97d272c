//! in-toto statements: what somebody says of files that are named by their digests.
//!
//! A statement is read by itself and in the envelope that signatures are put on (DSSE); whether a
//! signature is good is not looked at.
//!
//! Sources: in-toto attestation framework, `spec/v1/statement.md` and
//! `spec/predicates/test-result.md`; DSSE, `envelope.md`.

use super::FormatError;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::collections::BTreeMap;

/// The format's name in errors.
const NAME: &str = "in-toto";
/// No statement is longer, its envelope included.
pub const MAX_STATEMENT: u64 = 16 << 20;
/// The media type of a statement by itself.
pub const STATEMENT: &str = "application/vnd.in-toto+json";
/// The media type of one in an envelope.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The predicate of how tests went.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// The statements that are understood; their fields are the same.
const TYPES: [&str; 2] = [
    "https://in-toto.io/Statement/v1",
    "https://in-toto.io/Statement/v0.1",
];

/// What somebody says of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// What kind of thing is said: a URI.
    pub predicate_type: String,
    /// How tests went, where that is what is said.
    pub test_result: Option<TestResult>,
    /// How many signatures its envelope has; none of them has been checked.
    pub signatures: u64,
}

/// Something that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: Option<String>,
    /// Its digests in hexadecimal digits, by algorithm.
    pub digests: BTreeMap<String, String>,
}

/// How tests went.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// `PASSED`, `WARNED` or `FAILED`.
    pub result: String,
    /// The tests that passed.
    #[serde(default)]
    pub passed_tests: Vec<String>,
    /// The tests that have something to say for themselves.
    #[serde(default)]
    pub warned_tests: Vec<String>,
    /// The tests that failed.
    #[serde(default)]
    pub failed_tests: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    #[serde(rename = "_type")]
    kind: Option<String>,
    subject: Option<Vec<RawSubject>>,
    predicate_type: Option<String>,
    predicate: Option<Value>,
    payload_type: Option<String>,
    payload: Option<String>,
    signatures: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct RawSubject {
    name: Option<String>,
    digest: Option<BTreeMap<String, String>>,
}

impl Statement {
    /// Reads a statement, by itself or in an envelope.
    ///
    /// # Errors
    /// Where it is none, is longer than [`MAX_STATEMENT`], is about nothing, or does not say what
    /// it says.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() as u64 > MAX_STATEMENT {
            return Err(FormatError::Limit {
                format: NAME,
                offset: 0,
                limit: "bytes of a statement",
                value: MAX_STATEMENT,
                remedy: "no statement in use is that long; look at how this one was made",
            });
        }
        let keys: Keys = json(bytes)?;
        match (&keys.payload, &keys.payload_type) {
            (None, None) => Self::of(keys, 0),
            (Some(payload), Some(kind)) if kind == STATEMENT => {
                let signatures = keys.signatures.as_ref().map_or(0, Vec::len) as u64;
                let inner: Keys = json(&decoded(payload)?)?;
                Self::of(inner, signatures)
            }
            (_, kind) => {
                let kind = kind.as_deref().unwrap_or("nothing that is named");
                let shown = crate::model::value::clip(kind, 80);
                let what = format!("an envelope that holds `{shown}`");
                Err(FormatError::unsupported(NAME, 0, what))
            }
        }
    }

    fn of(keys: Keys, signatures: u64) -> Result<Self, FormatError> {
        let corrupt = |what: &str| FormatError::corrupt(NAME, 0, what);
        let kind = keys
            .kind
            .ok_or_else(|| corrupt("a statement without `_type`"))?;
        if !TYPES.contains(&kind.as_str()) {
            let shown = crate::model::value::clip(&kind, 80);
            let what = format!("a statement of the type `{shown}`");
            return Err(FormatError::unsupported(NAME, 0, what));
        }
        let predicate_type = keys.predicate_type.filter(|said| !said.is_empty());
        let predicate_type =
            predicate_type.ok_or_else(|| corrupt("a statement without `predicateType`"))?;
        let mut subjects = Vec::new();
        for subject in keys.subject.unwrap_or_default() {
            let digests = subject.digest.filter(|digests| !digests.is_empty());
            subjects.push(Subject {
                name: subject.name,
                digests: digests.ok_or_else(|| corrupt("a subject without a digest"))?,
            });
        }
        if subjects.is_empty() {
            return Err(corrupt("a statement about nothing"));
        }
        let test_result = match keys.predicate {
            Some(predicate) if predicate_type == TEST_RESULT => {
                let read = TestResult::deserialize(predicate);
                let result: TestResult =
                    read.map_err(|error| corrupt(&format!("a test result: {error}")))?;
                if !["PASSED", "WARNED", "FAILED"].contains(&result.result.as_str()) {
                    return Err(corrupt(
                        "a test result that is none of PASSED, WARNED, FAILED",
                    ));
                }
                Some(result)
            }
            None if predicate_type == TEST_RESULT => {
                return Err(corrupt("a test result without a result"));
            }
            Some(_) | None => None,
        };
        Ok(Self {
            subjects,
            predicate_type,
            test_result,
            signatures,
        })
    }

    /// Tells whether it is about what has a digest, such as `sha256:…`.
    pub fn is_about(&self, digest: &str) -> bool {
        let Some((algorithm, hex)) = digest.split_once(':') else {
            return false;
        };
        let mut digests = self.subjects.iter().map(|subject| &subject.digests);
        digests.any(|digests| digests.get(algorithm).is_some_and(|own| own == hex))
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    let read = serde_json::from_slice(bytes);
    read.map_err(|error| FormatError::corrupt(NAME, 0, format!("a statement: {error}")))
}

/// Decodes what an envelope holds; both alphabets are in use.
fn decoded(payload: &str) -> Result<Vec<u8>, FormatError> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = match payload.contains(['-', '_']) {
        true => &alphabet::URL_SAFE,
        false => &alphabet::STANDARD,
    };
    let decoded = GeneralPurpose::new(alphabet, config).decode(payload);
    decoded.map_err(|error| FormatError::corrupt(NAME, 0, format!("the payload: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text(predicate: &str) -> String {
        format!(
            r#"{{"_type": "https://in-toto.io/Statement/v1", "subject": [{{"name": "a", "digest": {{"sha256": "{DIGEST}"}}}}],
                "predicateType": "{TEST_RESULT}", "predicate": {predicate}, "extension": [1]}}"#
        )
    }

    #[test]
    fn a_statement_is_read_by_itself_and_in_an_envelope() {
        let plain = text(
            r#"{"result": "WARNED", "configuration": [], "passedTests": ["x"], "warnedTests": ["?"]}"#,
        );
        let read = Statement::read(plain.as_bytes()).unwrap();
        assert!(read.is_about(&format!("sha256:{DIGEST}")));
        assert!(!read.is_about(&format!("sha512:{DIGEST}")) && !read.is_about(DIGEST));
        assert_eq!(read.signatures, 0);
        let result = read.test_result.as_ref().unwrap();
        assert_eq!(
            (result.result.as_str(), result.passed_tests.len()),
            ("WARNED", 1)
        );
        assert!(result.failed_tests.is_empty());
        for payload in [STANDARD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
            let envelope = format!(
                r#"{{"payloadType": "{STATEMENT}", "payload": "{payload}", "signatures": [{{"sig": "AA=="}}]}}"#
            );
            let signed = Statement::read(envelope.as_bytes()).unwrap();
            assert_eq!((signed.signatures, &signed.subjects), (1, &read.subjects));
        }
    }

    #[test]
    fn what_does_not_say_what_it_says_is_refused() {
        let good = text(r#"{"result": "PASSED"}"#);
        for (wrong, says) in [
            (text(r#"{"result": "GREEN"}"#), "none of PASSED"),
            (text("{}"), "missing field `result`"),
            (text("null"), "without a result"),
            (
                good.replace(r#"{"sha256""#, r#"{"sha256": "x", "sha256""#)
                    .replace(r#""digest": {"#, r#""digest": [{"#),
                "expected",
            ),
            (good.replace("Statement/v1", "Statement/v9"), "of the type"),
            (good.replace("_type", "type"), "without `_type`"),
            (
                good.replace("predicateType", "kind"),
                "without `predicateType`",
            ),
            (
                good.replace(r#""subject""#, r#""subjects""#),
                "about nothing",
            ),
            (
                good.replace(r#""digest""#, r#""digests""#),
                "without a digest",
            ),
            (
                good.replace(r#""extension": [1]"#, r#""predicate": {}"#),
                "duplicate field",
            ),
            (
                good.replace(r#""extension": [1]"#, r#""payload": "x""#),
                "an envelope that holds",
            ),
            ("[".repeat(100_000), "invalid type"),
            (String::new(), "EOF"),
        ] {
            match Statement::read(wrong.as_bytes()) {
                Ok(_) => panic!("{wrong}"),
                Err(error) => assert!(error.to_string().contains(says), "{wrong}: {error}"),
            }
        }
        let long = vec![b' '; usize::try_from(MAX_STATEMENT).unwrap() + 1];
        assert!(
            Statement::read(&long)
                .unwrap_err()
                .to_string()
                .contains("over the limit")
        );
        let envelope = format!(r#"{{"payloadType": "{STATEMENT}", "payload": "%"}}"#);
        assert!(
            Statement::read(envelope.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("the payload")
        );
    }
}
