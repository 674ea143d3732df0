//! How moments and histograms are written down: nanoseconds, and the V2 form of HdrHistogram in
//! base64, which keeps every count.

/// An [`Instant`](halfopen_wheel::Instant) as nanoseconds.
pub(crate) mod instant {
    use halfopen_wheel::Instant;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Instant, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.as_nanos())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Instant, D::Error> {
        u64::deserialize(from).map(Instant::from_nanos)
    }
}

/// An instant, or none.
pub(crate) mod moment {
    use halfopen_wheel::Instant;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Option<Instant>, to: S) -> Result<S::Ok, S::Error> {
        at.map(Instant::as_nanos).serialize(to)
    }

    pub(crate) fn deserialize<'de, D>(from: D) -> Result<Option<Instant>, D::Error>
    where
        D: Deserializer<'de>,
    {
        Ok(Option::<u64>::deserialize(from)?.map(Instant::from_nanos))
    }
}

/// A histogram with all its counts.
pub(crate) mod histogram {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Deserializer as Reader, Serializer as _, V2Serializer};
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        histogram: &Histogram<u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).map_err(S::Error::custom)?;
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D>(from: D) -> Result<Histogram<u64>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let bytes = STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)?;
        let mut histogram: Histogram<u64> =
            Reader::new().deserialize(&mut &bytes[..]).map_err(D::Error::custom)?;
        histogram.auto(true);
        Ok(histogram)
    }
}
