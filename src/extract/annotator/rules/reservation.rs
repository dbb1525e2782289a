//! Praise or thanks with a reservation: evidence both ways, hence neutral.

use super::{Place, Rule};
use crate::data::Feedback;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "neutral/praise-with-reservation",
        level: Feedback::Neutral,
        place: Place::Start,
        phrases: &[
            "(thanks|thank you|great|good|nice|perfect|awesome|excellent|cool|amazing|interesting|that's good|\
             that's great|this is good|this is great|looks good|better|i like it|i like this|i like that) [very much|\
             so much|a lot] [start|job|work|idea|attempt|effort|answer] [that's great|for that] (but|however|although|\
             though|except)",
            "(that's|this is|it's|these are) (good|great|nice|okay|fine|interesting) (but|however|although|except)",
            "(not bad|almost|close) but",
            "(很好|不错|谢谢|好的|可以) (但是|但|不过|可是|只是)",
        ],
        yes: &[
            "Awesome, but can we use GTK instead of QT?",
            "Thanks, but what about the second part?",
            "很好，不过能短一点吗",
        ],
        no: &["Great, now the second part", "But this is great"],
    },
    Rule {
        name: "neutral/thanks-in-advance",
        level: Feedback::Neutral,
        place: Place::Statement,
        phrases: &[
            "(thanks|thank you|thx) [so much|very much] in advance",
            "(no|no need) (thanks|thank you)",
            "先谢谢",
            "先行谢过",
        ],
        yes: &["Thank you in advance!", "no thanks", "先谢谢了"],
        no: &["thank you"],
    },
];
