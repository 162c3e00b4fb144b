//! A credential in an environment variable.

use zeroize::Zeroizing;

use crate::config::Env;

pub(super) fn read(env: &Env, name: &str) -> Result<Zeroizing<String>, String> {
    env.get(name)
        .ok_or_else(|| format!("the environment variable {name} is not set, or empty"))
}
