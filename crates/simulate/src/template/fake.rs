//! Made-up names, addresses and words.

use fake::Fake as _;
use fake::faker::address::en::{CityName, CountryName};
use fake::faker::company::en::CompanyName;
use fake::faker::internet::en::{IPv4, IPv6, SafeEmail, UserAgent, Username};
use fake::faker::lorem::en::{Sentence, Word};
use fake::faker::name::en::{FirstName, LastName, Name};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// What is made up. `fake` has more, but not all of it draws from the generator it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fake {
    Name,
    FirstName,
    LastName,
    UserName,
    /// Of a domain nobody can have.
    Email,
    Ipv4,
    Ipv6,
    UserAgent,
    City,
    Country,
    Company,
    Word,
    Sentence,
}

impl Fake {
    /// Another one.
    pub fn draw(self, random: &mut ChaCha8Rng) -> String {
        match self {
            Self::Name => Name().fake_with_rng(random),
            Self::FirstName => FirstName().fake_with_rng(random),
            Self::LastName => LastName().fake_with_rng(random),
            Self::UserName => Username().fake_with_rng(random),
            Self::Email => SafeEmail().fake_with_rng(random),
            Self::Ipv4 => IPv4().fake_with_rng(random),
            Self::Ipv6 => IPv6().fake_with_rng(random),
            Self::UserAgent => UserAgent().fake_with_rng(random),
            Self::City => CityName().fake_with_rng(random),
            Self::Country => CountryName().fake_with_rng(random),
            Self::Company => CompanyName().fake_with_rng(random),
            Self::Word => Word().fake_with_rng(random),
            Self::Sentence => Sentence(3..10).fake_with_rng(random),
        }
    }
}
