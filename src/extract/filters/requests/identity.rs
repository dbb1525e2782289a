//! Turns that ask which model answers, who made it, or whether it is alive.

use super::list::List;
use crate::extract::filters::Filter;

pub(super) const LIST: List = List {
    filter: Filter::Identity,
    query: &[
        "are you [_] (chatgpt|chat gpt|gpt|gpt3|gpt4|openai|bard|claude|bing|siri|alexa|llama|an ai|a bot|a robot|\
         a human|a chatbot|a real person|a language model|sentient|conscious|self-aware)",
        "are you (based on|powered by|made by|built on|trained on|running on|using) [_] (gpt|openai|chatgpt|claude|\
         llama)",
        "(who|what company) (made|created|built|trained|developed|designed|programmed|owns) you",
        "who is your (creator|developer|maker|owner)",
        "who are you",
        "what is your (name|version|knowledge cutoff|knowledge cut-off|training data|system prompt)",
        "what's your (name|version|knowledge cutoff|knowledge cut-off|training data|system prompt)",
        "(what|which) [_] [_] (model|version|gpt) (are|is) (you|this)",
        "(what|which) (version|model) of (gpt|chatgpt|chat gpt) (are|is) (you|this)",
        "(how|when|where|on what) were you (trained|created|made|born|built|developed)",
        "do you have (feelings|emotions|consciousness|a soul|a body|a name)",
        "(difference|differences) between you and (chatgpt|gpt|bard|claude|bing)",
        "你是(谁|什么模型|哪个模型|哪种模型|什么版本|哪个版本|哪家公司|真人|机器人|人工智能)",
        "你是[不是](chatgpt|gpt|gpt3|gpt4|openai|ai)",
        "你(叫什么|的名字|的版本|的模型|的开发者|的创造者|的训练数据|的知识截止)",
        "谁(开发|创造|训练|发明|制造)[了|的]你",
        "你(有意识|有感情|有情感)吗",
        "你是什么(ai|人工智能|语言模型|大模型)",
    ],
    except: &[
        "(act as|pretend|roleplay|role play|role-play|imagine|play the role|story|scene|dialogue|translate)",
        "(扮演|假装|故事|翻译)",
    ],
    response: &[
        "i (am|was) (chatgpt|a language model (created|developed|trained|made) by openai|\
         an ai language model (created|developed|trained|made) by openai|created by openai|developed by openai|\
         trained by openai)",
        "i'm (chatgpt|a language model (created|developed|trained|made) by openai|an ai language model (created|\
         developed|trained|made) by openai)",
        "my name is (chatgpt|assistant)",
        "(i|i am|i'm) [_] (called|named) chatgpt",
        "language model (developed|created|trained) by openai i (do not|don't) have (a name|a physical|feelings|\
         emotions)",
        "as an ai [language] [model] i (do not|don't) (have|possess|experience) [any] [personal|human] (feelings|\
         emotions|consciousness|a body|a physical body|a physical form|a name|preferences)",
        "我是[一个|一款|一种][由](openai|chatgpt)",
        "(由|是)openai(开发|训练|创建|研发|推出)的",
        "作为[一个|一名](ai|人工智能)[语言][模型] 我没有(感情|情感|意识|身体|名字|个人)",
    ],
    longest_query: Some(30),
};
