//! The user rejects the response outright.

use super::{Place, Rule};
use crate::data::Feedback;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "rejection/not-what-i-asked",
        level: Feedback::Rejection,
        place: Place::Statement,
        phrases: &[
            "(that's|this is|it's|that is|it is|that was|these are|those are) not [at all|really|even|quite|\
             exactly] [close to] what i (asked|want|wanted|meant|mean|said|need|needed|was looking for|am looking for|\
             was asking|requested|was thinking|had in mind)",
            "(that|this|it) (isn't|is not|wasn't|ain't) [at all|really|even|quite|exactly] what i (asked|want|wanted|\
             meant|mean|said|need|needed|was looking for|am looking for|was asking|requested|was thinking|had in mind)",
            "(you|it) (didn't|did not|haven't|don't|doesn't|never|still haven't) (answer|answered) (my|the|what) \
             [_] (question|i asked)",
            "(this|that|it) (doesn't|does not|didn't|did not) answer (my|the) question",
            "not what i (asked|wanted|meant|was looking for|requested)",
            "(that|this|it) has [almost|absolutely] nothing to do with",
            "(不是|并不是|这不是|根本不是)我(想要的|要的|想问的|问的|需要的|的意思)",
            "(答非所问|没有回答我的问题|你没有回答|牛头不对马嘴)",
        ],
        yes: &[
            "That’s not what I asked for.",
            "No, this is not what I want. I need methods to push an item.",
            "You did not answer my question",
            "Well that's interesting but that has almost nothing to do with what I wrote",
            "这不是我想要的，我要的是表格",
            "你答非所问",
        ],
        no: &[
            "What I asked my boss was not easy. How do I say it again?",
            "Explain why this is not what I want from a database",
        ],
    },
    Rule {
        name: "rejection/worthless",
        level: Feedback::Rejection,
        place: Place::Statement,
        phrases: &[
            "(that's|this is|it's|that is|it is|that was|it was|these are|they are) [a|just|all|so|really|complete|\
             total|completely|totally|absolutely|very|pure|utter] [complete|total|utter] (useless|worthless|terrible|\
             awful|horrible|garbage|rubbish|crap|trash|nonsense|bullshit|ridiculous|stupid|dumb|pathetic|a joke|bad|\
             gibberish|unusable)",
            "(your|the) (answer|response|code|answers|responses|writing|story|translation) (is|are|was) [so|really|\
             very|completely|totally|absolutely] (useless|worthless|terrible|awful|horrible|garbage|rubbish|crap|\
             trash|nonsense|ridiculous|stupid|pathetic|bad|unusable)",
            "you('re| are) [so|really|such|completely|totally|absolutely|fucking] [a|an] (useless|stupid|dumb|\
             an idiot|idiot|terrible|pathetic|liar|lying|hallucinating|worthless|moron|making this up|\
             making things up|making stuff up)",
            "(太差了|垃圾|没用|一点用都没有|胡说八道|瞎说|废话|乱说|胡编乱造|狗屁)",
            "我不(喜欢|满意)(这个|这|你的|它|这样)",
        ],
        yes: &[
            "This is useless.",
            "ok, your answer is terrible",
            "You are making things up",
            "你在胡说八道",
            "我不喜欢这个",
        ],
        no: &[
            "Is this a bad idea?",
            "Write a review that says this is terrible",
            "What do I say if it is useless?",
            "I do not like spinach. What else is green?",
            "如何处理垃圾分类",
        ],
    },
    Rule {
        name: "rejection/dislike",
        level: Feedback::Rejection,
        place: Place::Interjection,
        phrases: &[
            "i [really] (hate|don't like|dont like|do not like|dislike) (this|that|it|these|them|any of these|\
             any of them|your answer|your response|your version)",
            "我不(喜欢|满意)",
        ],
        yes: &["I don't like it, do it differently", "I don’t like any of these", "我不喜欢，换一个"],
        no: &["I do not like that colour on walls", "What if I don't like it?", "我不喜欢吃鱼的孩子"],
    },
    Rule {
        name: "rejection/stop",
        level: Feedback::Rejection,
        place: Place::Message,
        phrases: &[
            "(stop|stop it|stop that|shut up|forget it|nope|no no|no no no|bad|terrible|useless|awful|horrible|\
             not good|bad answer|bad bot|fail|nonsense|bullshit|crap|wtf|not helpful|not useful|i don't like it|\
             boring)",
            "(不好|不行|不喜欢|太差|闭嘴|滚|差评|没用|垃圾|不满意)",
        ],
        yes: &["Stop!", "forget it", "No no no", "that is nonsense", "不行", "不好！"],
        no: &[
            "stop the server",
            "no",
            "nope, the second one",
            "forget it all and begin with chapter one",
            "不行，还有别的方法",
        ],
    },
];
