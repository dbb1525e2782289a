//! The user builds on the response, and says in passing that it is welcome.
//!
//! A bare follow-up is not evidence: "continue", "tell me more" and "next" follow good and bad responses alike.

use super::{Place, Rule};
use crate::data::Feedback;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "engagement/praise-and-on",
        level: Feedback::Engagement,
        place: Place::Interjection,
        phrases: &[
            "[very|really|pretty|so|that's|this is|it's] (great|perfect|excellent|awesome|amazing|wonderful|fantastic|\
             brilliant|nice|cool|good|superb|interesting|fascinating|lovely|impressive|beautiful|wow|love it|\
             i love it|i like it|i like that|i like this|i like these|much better|better|good point|good idea|\
             great idea|looks good|sounds good|sounds great|well done|nice one|not bad)",
            "(很好|非常好|太好了|太棒了|不错|完美|有意思|好主意|很棒|有道理)",
        ],
        yes: &[
            "Great, now write it from the perspective of a nobody.",
            "Awesome. Of the above items, let's focus on the first",
            "Nice! Can you write an implementation in Python?",
            "wow, one more please!",
            "Interesting. How does the phone number work?",
            "okay sounds good. What comes then?",
            "很好，继续",
            "不错，现在写第二章",
        ],
        no: &[
            "good morning",
            "great wall of china facts",
            "Nice to meet you",
            "cool colours for a room",
            "perfect tense of to go",
            "great?",
            "Great. But don't use so much of it.",
            "wow that's short",
            "good use of colour in film",
        ],
    },
    Rule {
        name: "engagement/thanks-and-on",
        level: Feedback::Engagement,
        place: Place::Interjection,
        phrases: &[
            "(thanks|thank you|thx|many thanks|(thanks|thank you) (again|man|bro|buddy|so much|very much|a lot))",
            "(thanks|thank you) for (clarifying|explaining|that|the clarification|the explanation|your help|\
             your answer|this|the answer|the info|the information)",
            "(谢谢|感谢|多谢|谢谢你|谢谢您|感谢您)",
        ],
        yes: &[
            "Thanks again! Are there groups that work on this?",
            "Thank you. Please list five facts",
            "Thanks for clarifying. Can you also explain the second?",
            "谢谢，请再写一个",
        ],
        no: &[
            "Thank you for your order, Mr Smith: translate this",
            "Write a thank you note",
            "Thank you letters for teachers",
        ],
    },
    Rule {
        name: "engagement/agrees",
        level: Feedback::Engagement,
        place: Place::Start,
        phrases: &[
            "(that's|it's|this is|that is) [a|an] [really|very] (good point|great point|good idea|great idea|\
             good question|interesting point|interesting idea|nice idea|hilarious|very funny|really funny|so funny|\
             very interesting|really interesting|fascinating|so cool|really cool)",
            "i [totally|completely|fully] (agree|like) (with you|with that|with this|with the|the idea|the idea of|\
             your idea|your ideas|your suggestion|your suggestions|your style|how you|the way you)",
            "(you are|you're|that's|that is|this is) (right|correct|absolutely right|exactly right|absolutely correct)",
            "(much better|that's better|this is better|it's better now|way better|looks better|already better)",
            "(looks|sounds|this looks|that looks|it looks|that sounds|this sounds) (good|right|correct|nice|\
             interesting)",
            "(that seems|seems) (correct|right|good|fine)",
            "(very interesting|keep it up|good point|good idea)",
            "你(说得|说的)(对|没错|有道理)",
            "(好主意|有道理|真有意思)",
        ],
        yes: &[
            "That's a good point. Targeting raises the response rate.",
            "I agree with the analysis. For the gaps, my page does more.",
            "Much better that time :)",
            "Ok that seems correct to me. Can you extract the real part?",
            "You're right, it was the second",
            "very interesting please continue",
            "你说得对，接着说",
        ],
        no: &["is that right?", "Do you agree with the author?", "What would be a better title", "that's right?"],
    },
];
