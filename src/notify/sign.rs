//! Signatures as Standard Webhooks has them: `v1,` and an HMAC-SHA256 in base64 over id, second and body.

use aws_smithy_types::base64;
use ring::hmac;

const PREFIX: &str = "whsec_";
const SHORTEST: usize = 24;
const LONGEST: usize = 64;

/// The keys that sign; never shown.
pub struct Keys(Vec<hmac::Key>);

impl Keys {
    /// Reads secrets, one a line: while a secret is replaced, both the old and the new one sign.
    ///
    /// # Errors
    /// What is wrong, without a word of the text.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "the secret is not whsec_ and 24 to 64 bytes in base64";
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let key = |line: &str| {
            let bytes = base64::decode(line.strip_prefix(PREFIX).ok_or(WRONG)?).map_err(|_| WRONG)?;
            let fits = (SHORTEST..=LONGEST).contains(&bytes.len());
            if fits { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(WRONG) }
        };
        let keys: Vec<hmac::Key> = lines.map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err("there is no secret in it") } else { Ok(Self(keys)) }
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, second: i64, body: &str) -> String {
        let signed = format!("{id}.{second}.{body}");
        let sign = |key: &hmac::Key| format!("v1,{}", base64::encode(hmac::sign(key, signed.as_bytes())));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's own tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_specifications_example_is_signed_as_it_says() {
        let keys = Keys::read(&format!("{SECRET}\n")).ok().unwrap();
        let signature = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let other = format!("whsec_{}", base64::encode([7; 32]));
        let keys = Keys::read(&format!("{other}\r\n\n  {SECRET}")).ok().unwrap();
        let signatures = keys.sign("a", 1, "b");
        assert_eq!(signatures.split(' ').count(), 2);
        assert!(signatures.ends_with(&Keys::read(SECRET).ok().unwrap().sign("a", 1, "b")));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let short = format!("whsec_{}", base64::encode([7; 23]));
        let long = format!("whsec_{}", base64::encode([7; 65]));
        for text in ["", "\n", "hunter2", "whsec_hunter2", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short, &long] {
            let problem = Keys::read(text).err().expect(text);
            assert!(text.trim().is_empty() || !problem.contains(text), "{problem}");
        }
    }
}
