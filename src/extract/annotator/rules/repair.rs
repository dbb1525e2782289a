//! The user asks for a repair, or names what needs one: something that fails, is missing, is too much, or has to be
//! redone.

use super::{Place, Rule};
use crate::data::Feedback;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "correction/does-not-work",
        level: Feedback::Correction,
        place: Place::Statement,
        phrases: &[
            "(it|this|that|it's|code|above|solution|script|program|function|formula|command|button|page|app|which|\
             they|answer|method|approach|query|regex|link|links) [still|also|just|really|actually] (doesn't|doesnt|\
             does not|didn't|didnt|did not|don't|won't|isn't|is not|not|are not) [seem to|even|really|actually|\
             appear to] (work|working|compile|run|function|make sense|match|exist|help|do anything|change anything|\
             look right|look correct|seem right|seem correct|sound right|follow|fit|rhyme|load|display|fix)",
            "(that|this|it) (doesn't|does not|doesnt) (sound|look|seem|feel|read) _",
            "(just|still) (doesn't|doesnt|does not|didn't|won't) (show|work|give|display|do|open|load|run|print|\
             return|update|change)",
            "it [still|just] (fails|crashes|breaks|freezes)",
            "i (still|also) (get|got|have|see|am getting|am having) [_] [_] (error|errors|problem|issue|same|message|\
             warning|output|result)",
            "i'm still (getting|having|seeing)",
            "(makes no sense|not making sense)",
            "(运行不了|无法运行|不能运行|运行报错|没有效果|不起作用|没用啊|行不通|跑不通|编译不过|不工作|没有变化)",
        ],
        yes: &[
            "That doesn't work. It gives a time between two stations",
            "it still does not compile",
            "I still get the same error",
            "the code won't run",
            "thanks, but it doesn’t work",
            "这个方法不起作用",
        ],
        no: &[
            "Why does it not work on Windows?",
            "if it doesn't work, what then?",
            "My neighbour does not work on Sundays",
            "Give reasons why this doesn't work in practice",
        ],
    },
    Rule {
        name: "correction/error-from-code",
        level: Feedback::Correction,
        place: Place::AfterCode,
        phrases: &[
            "(got|get|getting|gets|gave|gives|giving|have|having|throws|throwing|shows|showing|produces|received|see) \
             [me] [a|an|the|this|these|another|some|following] [_] [_] [_] (error|errors|exception|warning)",
            "(error|exception|traceback|uncaught|typeerror|valueerror|keyerror|syntaxerror|nameerror|attributeerror|\
             indexerror|runtimeerror|importerror|modulenotfounderror|referenceerror|exception type|error code|\
             compile error|fatal error|unhandled exception) (in|at|on line|line|file|message)",
            "(error|exception|exception type|traceback|typeerror|valueerror|keyerror|syntaxerror|nameerror|\
             attributeerror|referenceerror):",
            "(undefined is not|is not defined|cannot read properties of|cannot find module|command not found|\
             no such file)",
            "(报错|出错|出现错误|提示错误|抛出异常)",
        ],
        yes: &[
            "I got this error when I ran it",
            "I get a runtime error at line 3",
            "ValueError: all arrays must be",
            "这段代码有报错",
        ],
        no: &["How do I handle errors here?", "thanks, now add a page for errors", "继续"],
    },
    Rule {
        name: "correction/left-out",
        level: Feedback::Correction,
        place: Place::Statement,
        phrases: &[
            "you [just|also|have|still|again|completely|only|already|had|seem to have] (forgot|forget|forgotten|\
             missed|miss|left out|omitted|skipped|ignored|misunderstood|misread|misinterpreted|misspelled|repeated|\
             duplicated|mixed up|confused|hallucinated|failed to|stopped|cut off|got cut off|got it wrong|\
             were supposed to|was supposed to|weren't supposed to|are supposed to|were wrong|did too much|\
             keep repeating|keep making|keep giving|keep using|keep saying)",
            "you (didn't|did not|haven't|have not|hadn't|still didn't|still haven't|also didn't|didnt|never) [even|\
             really|actually|yet] (finish|include|included|answer|answered|follow|followed|use|used|add|added|mention|\
             mentioned|provide|provided|complete|completed|give|given|write|written|change|changed|translate|\
             translated|do|done|read|explain|explained|fix|fixed|address|cover|list|update|show|specify|say|put|\
             remove|consider|implement|understand|listen)",
            "you only (gave|provided|wrote|included|listed|did|answered|translated|generated|covered|used|made|showed|\
             returned)",
            "you've [only|just|already|also] (forgotten|missed|left out|omitted|skipped|ignored|misunderstood|\
             repeated|mixed up)",
            "(seems|looks) like you (missed|forgot|skipped|misunderstood|left out|stopped|ignored)",
            "(your|the|last) [last|previous] (response|answer|message|code|reply|output|text|list) (stopped|\
             was cut off|got cut off|cut off|is cut off|seems to be incomplete|seem to be incomplete|is incomplete|\
             is not complete|isn't complete|ended|was truncated|cuts off)",
            "(code|answer|response|list) (seem|seems) [to be] incomplete",
            "i (don't|dont|do not|didn't|still don't|can't|cannot|can not) see (where|a|an|any|the|it|that|this)",
            "(this is|these are|it's|that's|that sounds like|this looks like|you gave me|still) [exactly|just|\
             all] the (same|exact same) [_] (as before|again|yet again|as the first|as the last)",
            "(this is|it's|that's) the same (thing|code|answer|response|text|result|output|example|story|list)",
            "你(忘了|忘记|漏了|遗漏|少了|没有按|没按|没有理解|没理解|没有写完|没写完|没有翻译|没有给|没有用|误解)",
            "(没写完|没有写完|不完整|缺少了|漏掉了|被截断)",
        ],
        yes: &[
            "You forgot the last chapter",
            "you didn't finish the translation",
            "Seems like you missed to explain the consensus",
            "You only gave three of them",
            "This is the same code yet again",
            "i dont see where to enter the path",
            "Your last response stopped here: x",
            "你漏了第三点",
        ],
        no: &[
            "Did you forget the last chapter?",
            "what happens if you forgot your password",
            "Do you never include the tax?",
            "你忘不了的歌有哪些",
        ],
    },
    Rule {
        name: "correction/again",
        level: Feedback::Correction,
        place: Place::Start,
        phrases: &[
            "(try|do it|do that|try it|do this|write it|try this|try that) again",
            "(redo|regenerate) (it|this|that|everything|all of it)",
            "start over",
            "(stop|please stop|can you stop|can you please stop|could you stop|you need to stop) (doing|telling|using|\
             adding|repeating|saying|writing|giving|making|including|ignoring|putting|starting|changing|apologizing|\
             asking)",
            "(重新写|重写|重新生成|重新回答|重新来|重新做|再写一遍|再试一次|再试试|重来|再来一遍|重做)",
            "(please|can you|could you|let's|just) (try again|redo it|redo this|redo that|try that again|\
             try this again|start over)",
        ],
        yes: &[
            "Try again but keep the count out of memory",
            "try again",
            "Redo it, please, with the sources",
            "Please stop telling me how to use a browser",
            "重新写，短一点",
        ],
        no: &["When should I try again after a failed exam?", "a redo log is what?", "how do I start over in Zelda"],
    },
    Rule {
        name: "correction/redo-alone",
        level: Feedback::Correction,
        place: Place::Message,
        phrases: &[
            "(redo|rewrite|rewrite it|regenerate|rewrite this|rewrite that|retry|again|not good enough|too long|\
             too short|too generic|too vague|too complicated|too formal|boring|not funny|start over|not enough|\
             not clear|unclear|incomplete|are you sure|you sure|really)",
            "(重写|太长|太短|太简单|不够|再短一点|不清楚)",
        ],
        yes: &["Rewrite", "too long", "regenerate please", "重写"],
        no: &["rewrite it as a poem", "again, in French", "too long a story: shorten it"],
    },
    Rule {
        name: "correction/too-much",
        level: Feedback::Correction,
        place: Place::Statement,
        phrases: &[
            "(that's|this is|it's|that is|it is|they are|they're|these are|is|are|was|sounds|seems|feels|looks|thats|\
             still) [a little|a bit|still|way|much|far|just|all|slightly|also] [bit] too (long|short|much|many|big|\
             small|complicated|complex|formal|informal|generic|vague|simple|basic|similar|wordy|verbose|repetitive|\
             general|technical|dramatic|cheesy|flowery|obvious|boring|slow|high|low|robotic|fast|easy|hard|difficult|\
             late|early)",
            "not (long|short|detailed|specific|good|clear|funny|creative|accurate|deep|realistic|human|enough) enough",
            "(isn't|is not|aren't|are not|wasn't|not) [very|really|that|so|particularly] (helpful|useful|clear|\
             detailed|specific|funny|original|creative|good|accurate|realistic|relevant)",
            "(none of them|none of these|none of those|neither) (is|are|work|works|makes|make)",
            "not enough (detail|details|words|information)",
            "(太长了|太短了|太简单了|太啰嗦了|太复杂了|太官方了|太笼统了|太生硬了|字数不够|不够详细|不够具体|不够长|不够好|太正式了)",
        ],
        yes: &[
            "the intros and outros are too big for my video",
            "It's a bit too formal.",
            "that is not detailed enough",
            "Those are interesting, but none of them are very novel",
            "太长了，短一点",
        ],
        no: &["Why is coffee too hot at first", "Is this too long?", "Explain what is too much sugar"],
    },
    Rule {
        name: "correction/dislikes-a-part",
        level: Feedback::Correction,
        place: Place::Start,
        phrases: &[
            "i [really] (don't|dont|do not) like (the|that|this|these|those|how|your) _",
            "我不喜欢(这个|你的|第)",
        ],
        yes: &[
            "I don't like the rounded borders of the pictures",
            "I do not like how it ends. Make it happy",
            "我不喜欢第二段",
        ],
        no: &["I do not like spinach. What else is green?", "What if she does not like the ring?", "我不喜欢吃鱼"],
    },
];
