//! Roles of messages, in the spellings of logs.

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions that frame the conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool the model called.
    Tool,
}

/// How logs spell roles, in lower case. Only names whose meaning is certain.
const SPELLINGS: [(Role, &[&str]); 4] = [
    (Role::System, &["system", DEVELOPER]),
    (Role::User, &["user", "human", "prompter"]),
    (
        Role::Assistant,
        &[
            "assistant",
            "gpt",
            "chatgpt",
            "bing",
            "bard",
            "claude",
            "gemini",
            "model",
            "bot",
            "chatbot",
            "ai",
            FUNCTION_CALL,
            TOOL_CALL,
        ],
    ),
    (Role::Tool, &["tool", "observation", "function", "ipython", "tool_response", "function_response"]),
];

/// OpenAI's name for the role of instructions; a few chat templates tell it apart from `system`.
pub(super) const DEVELOPER: &str = "developer";

/// Messages in which the model calls a tool, as ShareGPT files spell their role: the content is the call.
pub(super) const FUNCTION_CALL: &str = "function_call";
pub(super) const TOOL_CALL: &str = "tool_call";

impl Role {
    /// The name templates see: `system`, `user`, `assistant` or `tool`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Reads a role in the spelling of a log, in whatever case.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        SPELLINGS.iter().find(|(_, spellings)| spellings.contains(&name.as_str())).map(|(role, _)| *role)
    }
}
