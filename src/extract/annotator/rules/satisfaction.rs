//! The user says that the response is good.
//!
//! Thanks and praise are satisfaction if they are the whole message, or a statement about the response. A word of
//! praise in passing, before the next request, is engagement.

use super::{Place, Rule};
use crate::data::Feedback;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "satisfaction/praise-or-thanks-alone",
        level: Feedback::Satisfaction,
        place: Place::Message,
        phrases: &[
            "(thanks|thank|thx|ty|tysm|thankyou|cheers|great|perfect|excellent|awesome|amazing|wonderful|fantastic|\
             brilliant|nice|cool|good|superb|beautiful|wow|bravo|impressive|lovely|well done|bless you|appreciate|\
             appreciated|much better|love it|i love it|nailed it|good job|great job|nice job|great work|nice work|\
             good work|helpful|works|worked|it works|it worked|works perfectly|that helps|that helped|thats help|\
             very good|very nice|very helpful|exactly what i needed|good answer|great answer|good bot)",
            "(谢谢|感谢|多谢|谢了|太好了|太棒了|完美|不错|厉害|牛逼|优秀|很好|非常好|真棒|好极了|很棒|辛苦了|爱你|666|赞)",
        ],
        yes: &[
            "Thanks!",
            "Great! Thank you so much",
            "Perfect, thank you.",
            "okay thanks",
            "Thank you, that’s very helpful!",
            "谢谢，很好",
            "太棒了！",
            "wow, amazing",
        ],
        no: &[
            "Thanks, now do the second part",
            "great?",
            "Thank you for flying with us: who says this?",
            "谢谢，再写一个",
            "ok",
        ],
    },
    Rule {
        name: "satisfaction/it-is-good",
        level: Feedback::Satisfaction,
        place: Place::Statement,
        phrases: &[
            "(that's|this is|it's|that is|it is|that was|it was|these are|those are|they are|this looks|it looks|\
             that looks|looks|this sounds|that sounds|sounds|these look) [a|an|all|just|really|very|so|absolutely|\
             pretty|quite|truly|simply|actually] [really|very|so|much|truly] (great|perfect|awesome|amazing|excellent|\
             wonderful|fantastic|brilliant|helpful|beautiful|impressive|incredible|lovely|superb|fabulous|outstanding|\
             very good|really good|so good|super helpful|very helpful|a great (answer|outline|start|idea|job|list|\
             response)|great (answer|outline|start|list|response)|exactly what i (wanted|needed|was looking for|need|\
             want|asked for|meant))",
            "(this|that|it|which) [really|actually] (helped|helps) [me] (a lot|a bunch|so much|very much|tremendously|\
             greatly)",
            "i (love|really like|really love|absolutely love|loved) (it|this|that|these|those|your [_] (answer|\
             response|version|idea|ideas|suggestion|suggestions|work))",
            "(you are|you're) (great|awesome|amazing|the best|a genius|brilliant|a lifesaver|a life saver|fantastic|\
             wonderful|doing great|incredible|so helpful|very helpful)",
            "(great|good|excellent|nice|awesome|amazing|fantastic|brilliant|wonderful|superb) (job|work|answer|\
             response|explanation)",
            "(well done|nailed it|you nailed it|couldn't be better|couldn't have asked for better)",
            "thank you for (your|the|this|that|all your|all the|such a|clarifying|explaining) [great|excellent|\
             wonderful|detailed|helpful|amazing|good|thorough] (help|answer|explanation|detailed explanation|response|\
             assistance|information)",
            "(写得|说得|回答得|做得|讲得)(非常|很|真|太)(好|棒|不错|清楚|详细)",
            "(这个|这|回答|你的回答|文章)(非常好|很好|很棒|太好了|太棒了|完美|真不错|很不错)",
            "正是我(想要|要|需要)的",
            "我(很|非常|太)(喜欢|满意)",
            "(非常|很|十分)(感谢|有帮助|有用)",
        ],
        yes: &[
            "This is great. Can you give me an example?",
            "I love it! Next chapter",
            "ok, great job, let's move on",
            "That’s exactly what I needed",
            "Looks perfect to me",
            "写得很好，再写一篇",
            "正是我要的",
        ],
        no: &[
            "that is not great",
            "Is this a great idea?",
            "it would be great to have a list",
            "Write an ad that says this is amazing",
            "Great Britain was an empire",
            "if it's perfect, say so",
            "不是很好",
        ],
    },
    Rule {
        name: "satisfaction/it-works",
        level: Feedback::Satisfaction,
        place: Place::Statement,
        phrases: &[
            "(that|this|it|which|the code|your code|your solution|everything) [now|all|finally] (works|worked) \
             [now] (perfectly|great|well|fine|beautifully|like a charm|as expected|thanks|thank you|now)",
            "(that|this|it|which) [has|have] [finally|just] (fixed|solved|resolved) [it|the|my] (problem|issue|error|\
             bug|problems|thanks)",
            "(problem|issue|error|bug) (solved|fixed|resolved)",
            "(问题|错误)(解决了|修复了)",
            "(可以运行了|成功了|运行成功|能用了)",
        ],
        yes: &[
            "thanks that fixed the problem, works perfectly",
            "It works now, next step",
            "解决了，问题解决了",
            "成功了！",
        ],
        no: &["how can I see that it works fine?", "It works on Linux. What of Windows?", "it never worked well"],
    },
];
