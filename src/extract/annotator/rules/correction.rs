//! The user says that the response is wrong.

use super::{Place, Rule};
use crate::data::Feedback;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "correction/wrong",
        level: Feedback::Correction,
        place: Place::Statement,
        phrases: &[
            "(that's|this is|it's|that is|it is|which is|they are|these are|those are|they're|all of this is|that was|\
             this was|this seems|that seems|that sounds|this looks) [still|also|all|just|completely|totally|\
             absolutely|actually|clearly|simply|obviously|partially|plain] (wrong|incorrect|inaccurate|false|untrue|\
             not right|not correct|not true|not accurate|not working|not valid|invalid|not quite right|\
             not quite correct|not entirely correct|not exactly right|a mistake|an error|not how|not possible|a lie)",
            "(this|that|it) (isn't|is not|wasn't|was not) [quite|exactly|entirely|even|really|actually|at all] (right|\
             correct|true|accurate|valid|working)",
            "(you're|you are|you were) [still|completely|totally|also|just] (wrong|incorrect|mistaken|missing|\
             ignoring|forgetting|repeating yourself|confusing|contradicting)",
            "(you|you've|you have) [just|also|still] (made|make|making) [a|an|the|another|some|several|many] [same|\
             big|few|lot of] (mistake|mistakes|error|errors)",
            "you (got|have|had|put|did) [it|that|this|the] [_] [all|completely] (wrong|backwards|incorrectly|mixed up)",
            "your [_] [_] [_] (is|are|was|were|seems|look|looks) [still|also|completely|totally] (wrong|incorrect|\
             inaccurate|not correct|not right|invalid|incomplete|not accurate|not true|contradictory)",
            "the [_] [_] [_] (is|are|was|were) [still|also|completely|totally|all] (wrong|incorrect|inaccurate|\
             not correct|not right|invalid|incomplete|truncated|missing|cut off|not working|gone)",
            "there (is|are|was|were) [still|also|clearly] [a|an|some|several|many] [_] (mistake|mistakes|error|errors|\
             bug|bugs|typo|typos|problem)",
            "theres a (mistake|problem|bug)",
            "(some|few|many) (mistakes|errors) (in|here)",
            "(不正确|不准确|不符合要求|与事实不符|有误|有错误|有错|理解错了|搞错了|弄错了|说错了|写错了|算错了|答错了|错了)",
            "(但|但是|可是|还是|都|这|这个|答案|结果)不对",
            "(代码|程序|答案|回答|结果|这个|你的|公式)[还是|还|仍然]有(问题|错误|bug)",
        ],
        yes: &[
            "That's wrong, you printed a rhombus, not a triangle",
            "This isn’t quite right. If A is false, then B.",
            "Your step 2 is wrong because it breaks the rule",
            "the description of the outermost system was truncated.",
            "ok, but there is a mistake in line 3",
            "You are still missing the second part",
            "你错了，是上海",
            "代码还是有问题",
        ],
        no: &[
            "Is that wrong?",
            "if this is wrong, tell me why",
            "Write a story about what went wrong",
            "explain why the second claim is incorrect",
            "that's not bad",
            "what is wrong with my code",
            "没错了吧",
            "这样错了吗",
        ],
    },
    Rule {
        name: "correction/wrong-at-once",
        level: Feedback::Correction,
        place: Place::Start,
        phrases: &[
            "(not true|not correct|not right|not quite|not exactly|still wrong|still incorrect|also wrong|\
             same mistake|same error|same problem|same issue|still not|still the same|still no|still getting|\
             still same|no change|still doesn't|still does not|still missing|still seeing|still having|wrong again)",
            "(doesn't|does not|didn't|did not|not|isn't|it's not) work",
            "(doesn't|does not|not|isn't|it's not|still not) working",
            "(不是这样|还是不对|还是错|还是不行|依然不行|还是报错|仍然报错|还是一样)",
        ],
        yes: &["Still not seeing the numbers", "Same mistake as before", "doesn't work", "还是报错"],
        no: &[
            "I am not wrong to ask you this",
            "Working at home: what helps?",
            "Still life with flowers: who painted it?",
        ],
    },
    Rule {
        name: "correction/wrong-in-a-word",
        level: Feedback::Correction,
        place: Place::Interjection,
        phrases: &["(wrong|incorrect|false|not true|not correct|error)", "(不对|错|错误|不正确)"],
        yes: &["wrong", "wrong write it in paragraphs", "Incorrect. It is another character", "不对，应该是三"],
        no: &["False alarms: list three", "wrong-doing in politics", "不对称加密是什么", "不对吗", "错误处理怎么写"],
    },
    Rule {
        name: "correction/no-but",
        level: Feedback::Correction,
        place: Place::Contradiction,
        phrases: &[
            "no (that|that's|this|it|it's|its|you|he|she|they|there|i|i'm|we|his|her|your|don't|sir|wait|wrong)",
            "no _ (is|isn't|are|does|doesn't)",
            "no the _ (is|isn't|are|was|does|doesn't)",
            "(nope|no no) (that|that's|this|it|it's|you|i|the|not)",
            "but (there is no|there's no|there isn't|there are no|that isn't|that's not|this is not|this isn't|\
             it doesn't|that doesn't|it's not|i asked|i said|i told you|you said|you didn't|you did not|you forgot|\
             it is not)",
            "i (don't|do not) think (so|that's|this is|it's|it is|that is|you)",
            "(wait|but) i thought",
            "i (disagree|don't agree|do not agree)",
            "not _ [_] [_] but",
            "(不,|不是,|不是的)",
        ],
        yes: &[
            "no he isn't.",
            "No, you placed THREE marks, not two.",
            "No it's not contradictory",
            "But there is no pie chart component!",
            "I don't think so",
            "wait, I thought it was the other way round",
            "不，我要的是英文",
        ],
        no: &["no", "No problem, go on", "No one knows that", "but what about the second?", "不好意思，再问一下"],
    },
    Rule {
        name: "correction/i-said",
        level: Feedback::Correction,
        place: Place::Start,
        phrases: &[
            "(i|as i) [already|just|have|clearly|only|specifically|also|did] (asked for|asked you|said|told you|\
             mentioned|specified)",
            "i [only|just|actually] (meant|was asking for|was asking about|was referring to|was talking about)",
            "i (did not|didn't|never) (ask|say|said|asked|mention|mean|want|tell)",
            "(that's|that is|this is|it's) not what i (said|meant)",
            "that's not (how|where|what|the|my|it|a|an)",
            "(我说的是|我问的是|我要的是|我是说|我不是说|我说了|我的意思是|我让你|我没有说|我没让你)",
        ],
        yes: &[
            "I asked for five of them",
            "as I said, it has to be in French",
            "I didn't ask for a summary",
            "That’s not where I placed my X.",
            "我要的是英文的",
        ],
        no: &["She asked for five of them", "Who said it?", "I would like what I asked my cook for", "他说了什么"],
    },
    Rule {
        name: "correction/are-you-sure",
        level: Feedback::Correction,
        place: Place::Start,
        phrases: &["are you (sure|certain|serious|kidding|kidding me)", "你(确定|确定吗|肯定)"],
        yes: &["Are you sure?", "are you sure that she had children", "你确定吗"],
        no: &["Am I sure?", "what makes you sure", "请你确定一个主题"],
    },
];
