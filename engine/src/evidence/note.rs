//! Signed notes and checkpoints, as C2SP `signed-note` and `tlog-checkpoint` define them: a text,
//! an empty line, and a line for each Ed25519 signature of the text.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::Malformed;
use super::encoding::from_base64;
use super::tree::Hash;

/// The signature type of Ed25519 in a key.
const ALGORITHM: u8 = 1;
const SIGNATURE_BYTES: usize = 64;
const DASH: &str = "— ";

/// A public key with the name under which it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key_hash: [u8; 4],
    public_key: [u8; 32],
}

impl Verifier {
    /// Returns the verifier of the signatures of a key under a name.
    ///
    /// # Errors
    /// [`Malformed`] if the name is empty, or has a space or a plus sign.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, Malformed> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
            return Err(Malformed::new(format!(
                "“{name}” is not a key name: it is empty, or has a space or a plus sign"
            )));
        }
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', ALGORITHM]);
        hasher.update(public_key);
        let hash: Hash = hasher.finalize().into();
        Ok(Self {
            name: name.to_owned(),
            key_hash: [hash[0], hash[1], hash[2], hash[3]],
            public_key,
        })
    }

    /// Reads a vkey: `name+key hash+base64`.
    ///
    /// # Errors
    /// [`Malformed`] with the reason; a key of another algorithm than Ed25519 is one.
    pub fn parse(vkey: &str) -> Result<Self, Malformed> {
        let mut parts = vkey.trim().splitn(3, '+');
        let (Some(name), Some(key_hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed::new("a vkey has the form name+hash+key"));
        };
        let key = BASE64_STANDARD.decode(key).ok();
        let public_key = match key.as_deref() {
            Some([ALGORITHM, key @ ..]) => <[u8; 32]>::try_from(key).ok(),
            _ => None,
        };
        let public_key = public_key.ok_or_else(|| Malformed::new("the vkey is not one of Ed25519"))?;
        let verifier = Self::new(name, public_key)?;
        if format!("{:08x}", u32::from_be_bytes(verifier.key_hash)) != key_hash {
            return Err(Malformed::new("the hash in the vkey is not that of its name and key"));
        }
        Ok(verifier)
    }

    /// The name under which the key signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of the hash of name and key.
    #[must_use]
    pub fn key_hash(&self) -> [u8; 4] {
        self.key_hash
    }

    /// The key without its name.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    fn accepts(&self, text: &str, signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, self.public_key);
        key.verify(text.as_bytes(), signature).is_ok()
    }
}

/// Writes the vkey.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ALGORITHM], self.public_key.as_slice()].concat();
        let hash = u32::from_be_bytes(self.key_hash);
        write!(f, "{}+{hash:08x}+{}", self.name, BASE64_STANDARD.encode(key))
    }
}

/// An Ed25519 key that signs.
pub struct Signer(Ed25519KeyPair);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// Derives the key from its seed.
    ///
    /// # Errors
    /// [`Malformed`] if the seed is not one.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, Malformed> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        Ok(Self(pair.map_err(|_| Malformed::new("the seed of a key is invalid"))?))
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        key
    }

    /// Signs the text of a note under a name.
    ///
    /// # Errors
    /// [`Malformed`] if the name is not one of a key.
    pub fn sign(&self, name: &str, text: &str) -> Result<Signature, Malformed> {
        let verifier = Verifier::new(name, self.public_key())?;
        Ok(Signature {
            name: verifier.name,
            key_hash: verifier.key_hash,
            bytes: self.0.sign(text.as_bytes()).as_ref().to_vec(),
        })
    }
}

/// A signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The first bytes of the hash of name and key.
    pub key_hash: [u8; 4],
    /// The signature itself.
    pub bytes: Vec<u8>,
}

/// A text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The text that is signed, which ends with a line feed.
    pub text: String,
    /// The signatures, of which not all need to be known.
    pub signatures: Vec<Signature>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`Malformed`] with the reason. That its signatures are valid is not checked.
    pub fn parse(note: &[u8]) -> Result<Self, Malformed> {
        let note = std::str::from_utf8(note).map_err(|_| Malformed::new("the note is not UTF-8"))?;
        let end = note
            .rfind("\n\n")
            .ok_or_else(|| Malformed::new("the note has no signatures"))?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        if !lines.ends_with('\n') {
            return Err(Malformed::new("the note does not end with a line feed"));
        }
        let signatures: Option<Vec<Signature>> = lines.lines().map(signature).collect();
        Ok(Self {
            text: text.to_owned(),
            signatures: signatures.ok_or_else(|| Malformed::new("a line of the note is not a signature"))?,
        })
    }

    /// Returns whether the key has signed the text.
    #[must_use]
    pub fn is_signed_by(&self, verifier: &Verifier) -> bool {
        self.signatures.iter().any(|signature| {
            signature.name == verifier.name
                && signature.key_hash == verifier.key_hash
                && verifier.accepts(&self.text, &signature.bytes)
        })
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(encoded).ok()?;
    let (key_hash, bytes) = decoded.split_first_chunk::<4>()?;
    (!name.is_empty() && !bytes.is_empty()).then(|| Signature {
        name: name.to_owned(),
        key_hash: *key_hash,
        bytes: bytes.to_vec(),
    })
}

/// Writes the note as it is stored.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let mut bytes = Vec::with_capacity(4 + SIGNATURE_BYTES);
            bytes.extend_from_slice(&signature.key_hash);
            bytes.extend_from_slice(&signature.bytes);
            writeln!(f, "{DASH}{} {}", signature.name, BASE64_STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

/// The state of a log: the text of a note that its key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log, under which its key signs.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Lines after the third are allowed.
    ///
    /// # Errors
    /// [`Malformed`] with the reason.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(Malformed::new("a checkpoint has at least three lines"));
        };
        let digits = size.bytes().all(|byte| byte.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| digits);
        Ok(Self {
            origin: origin.to_owned(),
            size: size.ok_or_else(|| Malformed::new("the size in the checkpoint is not a decimal number"))?,
            root: from_base64(root).ok_or_else(|| Malformed::new("the root in the checkpoint is not a hash"))?,
        })
    }

    /// Signs the checkpoint under its origin, by each key.
    ///
    /// # Errors
    /// [`Malformed`] if the origin is not a key name.
    pub fn sign<'s>(&self, signers: impl IntoIterator<Item = &'s Signer>) -> Result<Note, Malformed> {
        let text = self.to_string();
        let signatures: Result<Vec<Signature>, Malformed> = signers
            .into_iter()
            .map(|signer| signer.sign(&self.origin, &text))
            .collect();
        Ok(Note {
            signatures: signatures?,
            text,
        })
    }
}

/// Writes the text of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64_STANDARD.encode(self.root);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SKEY: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem \
                        is.\n";
    const SIGNATURE: &str = "— PeterNeumann \
                             x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn signer() -> Signer {
        let decoded = BASE64_STANDARD.decode(SKEY).unwrap();
        Signer::from_seed(&decoded[1..].try_into().unwrap()).unwrap()
    }

    #[test]
    fn the_example_of_go_is_signed_and_verified_with_the_same_bytes() {
        let verifier = Verifier::parse(VKEY).unwrap();
        assert_eq!(verifier.to_string(), VKEY);
        assert_eq!(signer().public_key(), verifier.public_key());
        let published = format!("{TEXT}\n{SIGNATURE}");
        let note = Note::parse(published.as_bytes()).unwrap();
        assert!(note.is_signed_by(&verifier));
        assert_eq!(note.to_string(), published);
        let signed = signer().sign("PeterNeumann", TEXT).unwrap();
        assert_eq!(note.signatures, [signed]);
    }

    #[test]
    fn another_text_name_or_key_is_not_signed() {
        let verifier = Verifier::parse(VKEY).unwrap();
        let note = Note::parse(format!("{TEXT}\n{SIGNATURE}").as_bytes()).unwrap();
        let other = Note {
            text: note.text.replace("your", "the"),
            ..note.clone()
        };
        assert!(!other.is_signed_by(&verifier));
        let other_name = Verifier::new("Peter", verifier.public_key()).unwrap();
        assert!(!note.is_signed_by(&other_name));
        let other_key = Verifier::new("PeterNeumann", [7; 32]).unwrap();
        assert!(!note.is_signed_by(&other_key));
        assert!(Verifier::parse(&VKEY.replace("c74f20a3", "c74f20a4")).is_err());
        assert!(Verifier::parse("PeterNeumann").is_err());
        assert!(Verifier::new("two words", [7; 32]).is_err());
    }

    #[test]
    fn a_checkpoint_carries_the_signatures_of_several_keys() {
        let checkpoint = Checkpoint {
            origin: "auditstream/0123456789abcdef/default/ABC.1".to_owned(),
            size: 7,
            root: [9; 32],
        };
        let second = Signer::from_seed(&[3; 32]).unwrap();
        let note = checkpoint.sign([&signer(), &second]).unwrap();
        let read = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(read, note);
        assert_eq!(Checkpoint::parse(&read.text).unwrap(), checkpoint);
        for key in [signer().public_key(), second.public_key()] {
            assert!(read.is_signed_by(&Verifier::new(&checkpoint.origin, key).unwrap()));
        }
    }

    #[test]
    fn malformed_notes_and_checkpoints_are_refused() {
        let published = format!("{TEXT}\n{SIGNATURE}");
        for note in ["", TEXT, published.trim_end(), &published.replace("— ", "- ")] {
            assert!(Note::parse(note.as_bytes()).is_err(), "{note}");
        }
        let root = BASE64_STANDARD.encode([9; 32]);
        for text in [
            "a\n1\n",
            &format!("a\n01\n{root}\n"),
            &format!("a\n-1\n{root}\n"),
            "a\n1\nx\n",
        ] {
            assert!(Checkpoint::parse(text).is_err(), "{text}");
        }
        assert!(Checkpoint::parse(&format!("a\n0\n{root}\nmore\n")).is_ok());
    }
}
