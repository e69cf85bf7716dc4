//! Where packages come from and where servers go.

use std::env;
use std::path::PathBuf;

use super::FetchError;

/// Where packages come from and where servers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOptions {
    /// The folder of unpacked servers.
    pub cache: PathBuf,
    /// A folder of packages that is tried before anything is downloaded.
    pub packages: Option<PathBuf>,
}

impl FetchOptions {
    /// As the environment says: `LEASEHOLD_CACHE`, else the user's cache folder; and `LEASEHOLD_PACKAGES`, where it is set.
    ///
    /// # Errors
    /// If the environment names no place for a cache.
    pub fn from_environment() -> Result<Self, FetchError> {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, FetchError> {
        let cache = variable("LEASEHOLD_CACHE")
            // The base directory specification has relative paths ignored.
            .or_else(|| variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|base| base.join("leasehold")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/leasehold")))
            .ok_or(FetchError::NoCacheFolder)?;
        Ok(Self { cache, packages: variable("LEASEHOLD_PACKAGES") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_for(set: &[(&str, &str)]) -> Option<PathBuf> {
        let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value));
        FetchOptions::from_variables(variable).ok().map(|options| options.cache)
    }

    #[test]
    fn the_cache_is_where_the_most_specific_variable_says() {
        let all = [("LEASEHOLD_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(cache_for(&all), Some("/a".into()));
        assert_eq!(cache_for(&all[1..]), Some("/b/leasehold".into()));
        assert_eq!(cache_for(&all[2..]), Some("/c/.cache/leasehold".into()));
        assert_eq!(cache_for(&[("XDG_CACHE_HOME", "b"), ("HOME", "/c")]), Some("/c/.cache/leasehold".into()));
        assert_eq!(cache_for(&[]), None);
    }
}
