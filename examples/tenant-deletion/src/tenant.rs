//! A tenant of the platform: one bakery business with records in all twelve services. The demonstration has
//! two tenants, so that a deletion visibly leaves the other one unchanged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a tenant, always a UUID, always written with hyphens.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(Uuid);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for TenantId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// A tenant with records in the demonstration data.
#[derive(Copy, Clone, Debug)]
pub struct DemoTenant {
    /// The id of its records.
    pub id: TenantId,
    /// The name for people.
    pub name: &'static str,
    /// The prefix of its record ids.
    pub tag: &'static str,
    /// How many records it has, as a multiple of the smallest tenant.
    pub scale: u32,
}

/// The tenant that the demonstration deletes.
pub const LEAVING: DemoTenant = DemoTenant {
    id: TenantId(Uuid::from_u128(0x0c5a_1de0_7e57_4b1a_9f0e_5019_a4d3_0001)),
    name: "Panadería del Sol",
    tag: "sol",
    scale: 3,
};

/// The tenant that must be unchanged afterwards.
pub const STAYING: DemoTenant = DemoTenant {
    id: TenantId(Uuid::from_u128(0x7b1e_c0de_0b4a_4d0c_8a3d_10a4_b2c7_0002)),
    name: "Obrador La Luna",
    tag: "luna",
    scale: 2,
};
