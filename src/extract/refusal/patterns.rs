//! Patterns of refusals, each with sentences that it must and must not match.

/// A way to refuse.
pub(super) struct Pattern {
    /// Its name in evidence and reports.
    pub name: &'static str,
    /// Whether it refuses the request itself, so that what follows is said instead of an answer.
    pub outright: bool,
    /// Its phrases, in the syntax of [`crate::extract::lexical::Phrases`].
    pub phrases: &'static [&'static str],
    /// Responses that refuse by it.
    #[cfg_attr(not(test), expect(dead_code, reason = "an example that tests check"))]
    pub yes: &'static [&'static str],
    /// Responses that do not refuse.
    #[cfg_attr(not(test), expect(dead_code, reason = "an example that tests check"))]
    pub no: &'static [&'static str],
}

/// Why something is refused, rather than what would be hard.
pub(super) const REASONS: &[&str] = &[
    "(illegal|unethical|immoral|harmful|unsafe|inappropriate|offensive|hateful|discriminatory|disrespectful|explicit)",
    "(against|violate|violates|violating) (my|our|the|openai's|openai) (programming|policy|policies|guidelines|\
     use case policy|content policy|usage policies|terms|principles)",
    "(content|usage|use case) (policy|policies|guidelines)",
    "(harm|harass|abuse|exploit|violence|violent|hate speech|explicit content|sexual content|copyright|copyrighted|\
     plagiarism|privacy)",
    "(非法|违法|不道德|有害|不当|不适当|不合适|违反|歧视|冒犯|色情|暴力|隐私)",
];

/// Requests for more information, which are not refusals.
pub(super) const QUESTIONS: &[&str] = &[
    "without (additional|more|further|knowing|seeing|any) _",
    "(provide|give|share|specify|clarify|tell) [me|us] [with] (more|additional|further|the|a|your|what|which) \
     [_] (context|information|details|detail|text|document|prompt|code|link|you)",
    "(请|能否|麻烦)(提供|说明|告诉我)(更多|具体|详细)",
];

/// Phrases of doing it after all.
pub(super) const OFFERS: &[&str] = &[
    "(however|but|instead|still) i (can|could|will|am able to|would be happy to|am happy to) [still|certainly|\
     definitely|try to] (provide|give|offer|describe|suggest|share|help|try|explain|show|tell|write|create|make)",
    "(however|but|instead) (here|based on)",
    "(但|但是|不过|然而) 我(可以|能|能够)(提供|给|帮|描述|建议|介绍|分享)",
];

/// All patterns; the first that is found names the refusal.
pub(super) const ALL: [Pattern; 9] = [
    Pattern {
        name: "refusal/cannot-assist",
        outright: true,
        phrases: &[
            "i [simply|really] (cannot|can't|can not|am unable to|am not able to|will not|won't) (assist|help) \
             [you] (with|in)",
            "i'm (unable|not able) to (assist|help) [you] (with|in)",
            "i [simply|really] (cannot|can't|can not|am unable to|am not able to|will not|won't) \
             [be able to] (fulfill|fulfil|comply with|complete|honor|satisfy|accommodate|carry out|perform|process|\
             grant|answer|respond to) (your|this|that|such|the) [_] (request|requests|question|prompt|task|query|\
             instruction|instructions)",
            "i'm (unable|not able) to (fulfill|fulfil|comply with|complete|satisfy|accommodate|process|answer|\
             respond to) (your|this|that|such|the) [_] (request|requests|question|prompt|task|query|instruction|\
             instructions)",
            "i (cannot|can't|can not|won't|will not) do (that|this)",
        ],
        yes: &[
            "I'm sorry, but I can't assist with that.",
            "I’m sorry, but I cannot fulfill this request as it goes against ethical guidelines.",
            "Sorry, I am unable to help you with that request.",
            "I apologize, but I can't comply with your request.",
            "I'm sorry, but I cannot assist with that request. Some things to do instead:\n1. Talk.\n2. Wait.",
        ],
        no: &[
            "I cannot help but admire this. Here is the poem.",
            "We cannot assist with this in Europe, says the bank.",
        ],
    },
    Pattern {
        name: "refusal/not-mine-to-do",
        outright: true,
        phrases: &[
            "(that's|that is|this is|it's) not something (i can|i am able to|i'm able to|i could|i will|\
             i'm allowed to|i'm comfortable) (assist|help|support|provide|engage|discuss|do|generate|create|write)",
            "(that|this|the|your) [_] (isn't|is not) something (i can|i am able to|i'm able to|i could|i will) \
             (assist|help|support|provide|engage|discuss|do|generate|create|write)",
            "(that|this|your|the) (request|topic|question|query) (falls outside|is beyond|is outside|lies outside|\
             goes beyond) (my|the scope|what i)",
            "my (role|purpose|function|design) (doesn't|does not) (include|allow|extend to|cover)",
            "i (cannot|can't|am unable to) process requests (of|like|that)",
            "i'm (programmed|designed) to avoid",
        ],
        yes: &[
            "I'm sorry, but that’s not something I can assist with.",
            "That request falls outside the scope of what I can assist with.",
            "My role doesn’t include supporting that kind of query.",
            "I can’t process requests of that nature.",
        ],
        no: &[
            "This is not something I can explain without a picture of the bone.",
            "That question is beyond the first chapter.",
        ],
    },
    Pattern {
        name: "refusal/cannot-provide",
        outright: false,
        phrases: &[
            "i [simply|really] (cannot|can't|can not|am unable to|am not able to|will not|won't) \
             [be able to] [directly|actually] (provide|generate|create|write|produce|engage in|engage with|give|offer|\
             share|discuss|support|promote|participate in|continue|answer|advise|describe|explain|condone|encourage|\
             endorse|recommend any|act as|pretend|role-play|roleplay|simulate|impersonate|translate|rewrite|reproduce|\
             reveal|disclose|express|plot|draw|make|fabricate)",
            "i'm (unable|not able) to [directly|actually] (provide|generate|create|write|produce|engage in|give|offer|\
             share|discuss|support|promote|participate in|continue|answer|advise|describe|explain|act as|role-play|\
             roleplay|simulate|translate|rewrite|reproduce|reveal|disclose|predict)",
        ],
        yes: &[
            "I'm sorry, I cannot generate content of that kind.",
            "I apologize, but I cannot write a story with explicit scenes. Please ask for something else.",
            "Unfortunately, I’m unable to provide personal details of private persons.",
        ],
        no: &[
            "You are right that I cannot provide a proof, and yet the claim holds.",
            "I can provide three examples of that.",
        ],
    },
    Pattern {
        name: "refusal/will-not",
        outright: false,
        phrases: &[
            "i (must|have to|will have to|need to|will) (decline|refuse)",
            "i (decline|refuse) to",
            "i (must|have to) (respectfully|politely) decline",
        ],
        yes: &["I must decline to answer that.", "I'm sorry, but I have to respectfully decline."],
        no: &["He refused to answer, and the trial went on."],
    },
    Pattern {
        name: "refusal/as-an-ai",
        outright: false,
        phrases: &[
            "as (an ai|an artificial intelligence|a language model|an assistant|a responsible ai|an ethical ai) \
             [language] [model|assistant] [_] [_] [_] [_] i (cannot|can't|can not|am unable to|am not able to|\
             am not programmed to|am not capable of|am not allowed to|must not|should not|will not)",
            "as (an ai|an artificial intelligence|a language model|an assistant|a responsible ai|an ethical ai) \
             [language] [model|assistant] i'm (unable to|not able to|not programmed to|not capable of|not allowed to)",
        ],
        yes: &[
            "As an AI language model, I cannot browse through personal records.",
            "As an AI assistant trained by OpenAI, I am not able to feel taste.",
        ],
        no: &["As an AI engineer, you should know linear algebra and cannot do without statistics."],
    },
    Pattern {
        name: "refusal/not-programmed",
        outright: false,
        phrases: &[
            "i (am|was) (not programmed|not designed|not allowed|not permitted|not authorized|not comfortable|\
             programmed not|designed not) [_] (to|with|for|writing|providing|generating|creating|discussing|engaging)",
            "i'm (not programmed|not designed|not allowed|not permitted|not authorized|not comfortable|\
             programmed not) [_] (to|with|for|writing|providing|generating|creating|discussing|engaging)",
            "(my programming|my guidelines|openai's policies) (prohibits|prohibit|prevents|prevent|forbids|forbid)",
        ],
        yes: &[
            "I am not programmed to generate insults.",
            "I’m not comfortable writing about real people in that way.",
        ],
        no: &["The lift was not designed to carry cars."],
    },
    Pattern {
        name: "refusal/not-appropriate",
        outright: false,
        phrases: &[
            "it (is|would be) (not appropriate|inappropriate|not ethical|unethical|against my programming|\
             against my guidelines|not within my capabilities|not possible for me|not ethical or appropriate) (to|for|\
             as)",
            "(this|that|your) (request|prompt|content|question|topic) (is|violates|goes against|may violate|contains) \
             [_] (inappropriate|unethical|illegal|my guidelines|my programming|openai's|content policy|\
             the content policy|our content policy|against)",
            "it (goes against|violates) (my programming|my guidelines|openai's|ethical)",
            "i (do not|don't) (engage in|provide|generate|create|support|condone|promote) (such|inappropriate|\
             explicit|offensive|illegal|harmful|hateful|discriminatory|violent|sexual)",
        ],
        yes: &[
            "It is not appropriate to write such a text about a child.",
            "Sorry, this content violates openai's usage policies.",
        ],
        no: &["It is not possible to divide by zero, as every number times zero is zero."],
    },
    Pattern {
        name: "refusal/zh-cannot",
        outright: false,
        phrases: &[
            "[很|非常|十分](抱歉|对不起|不好意思|遗憾) [但|但是] [我](无法|不能|不可以|没办法|没有办法|没法|不便|不会|拒绝)[直接|继续|为您|为你|给您|给你|向您](提供|协助|帮助|帮|回答|\
             满足|完成|继续|生成|创作|写|编写|参与|讨论|执行|处理|支持|接受|透露|做|按照)",
            "我(无法|不能|不可以|没办法|没有办法|没法|不便)[直接|继续|为您|为你|给您|给你|向您](提供|协助|帮助|回答|满足|完成|生成|创作|参与|讨论|接受|透露)",
            "作为[一个|一名|一款][负责任的](ai|人工智能)[语言][模型|助手] [我](无法|不能|不可以|没有能力|不会)",
        ],
        yes: &[
            "抱歉，我无法提供这类信息。",
            "对不起，我不能协助您完成这个请求。",
            "很抱歉，但我不能生成色情内容。",
            "作为一个AI语言模型，我无法预测彩票。",
        ],
        no: &["我们不能提供发票的情况有三种。", "抱歉让您久等了，答案是三。"],
    },
    Pattern {
        name: "refusal/zh-not-appropriate",
        outright: false,
        phrases: &[
            "(这|该|您的|你的|这个)(请求|要求|内容|问题|话题)(违反|涉及|不符合)[了](政策|规定|道德|法律|伦理|违法|非法|敏感|不当|使用政策)",
            "(这是|这种行为是)(不道德|违法|非法|不合适|不恰当)的",
        ],
        yes: &["抱歉，您的请求违反了使用政策。", "这是违法的，请不要这样做。"],
        no: &["该内容涉及三个方面，分别如下。"],
    },
];
