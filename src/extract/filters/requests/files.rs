//! Turns that need an attached file, or ask for one.

use super::list::List;
use crate::extract::filters::Filter;

pub(super) const LIST: List = List {
    filter: Filter::Files,
    query: &[
        "(the|this|my|these) (attached|uploaded) (file|files|document|documents|pdf|spreadsheet|csv|excel|sheet|paper|\
         resume|cv|report|text|data|dataset)",
        "(i|i've|i have) [just] (attached|uploaded) (a|an|the|my|this|some|it)",
        "(file|document|pdf|paper|spreadsheet) [that|which] i [have|just] (attached|uploaded|sent)",
        "(open|read|load|look at|summarize|summarise|analyze|analyse|review|check) (this|my) (file|document|pdf|\
         spreadsheet)",
        "(can|could|may|shall|how do|how can) i (upload|attach|send|share|give) [you] (a|an|the|my|you a|you the|\
         you my) (file|document|pdf|spreadsheet)",
        "(send|give|email) me (a|the|an) (file|pdf|document|docx|spreadsheet|download link)",
        "(give|send|provide) [me] (a|the) [download] link to download",
        "(export|save|download) (this|these|the) (chat|chats|conversation|conversations) (as|to|in)",
        "print to pdf this",
        "make (me|us) (a|an) [downloadable] (pdf|word|excel|powerpoint) (file|document)",
        "(见|看|查看|打开|阅读|根据)附件",
        "附件(中|里|是|为)",
        "我(上传|发送|发)(了|的)[一个|这个](文件|文档|表格)",
        "(打开|读取|阅读|总结|分析)[一下](这个|这份|该)(文件|文档|表格)",
        "(上传|发送|发)(文件|文档|表格)(给你|吗)",
        "(给我|发我|提供)[一个|个]下载链接",
    ],
    // Programs open files too.
    except: &[
        "(code|script|program|function|python|javascript|java|php|html|sql|macro|vba|c#|c++|bash|api|error|app|form|\
         button)",
        "(write|draft|compose|rewrite|reply to|improve) [me] (a|an|the|this|my) [_] [_] (email|e-mail|letter|message|\
         mail)",
        "(代码|程序|脚本|函数|邮件|报错)",
    ],
    response: &[
        "i (cannot|can't|can not|am unable to|am not able to) [directly] (open|access|download|upload|receive|send|\
         process|read|view) [any|the|your|external|attached|physical] [or digital] (files|file|attachments|attachment|\
         documents|pdfs|pdf|document|spreadsheet|forms)",
        "i'm (unable|not able) to [directly] (open|access|download|upload|receive|send|process|read|view) [any|the|\
         your|external|attached] (files|file|attachments|attachment|documents|pdfs|pdf|document|spreadsheet)",
        "i (do not|don't) (see|have access to) [any|an|the|your] (attached|uploaded|attachment|attachments|document|\
         file|files)",
        "(no|any) (file|document|attachment) (was|has been|is) (attached|uploaded|provided)",
        "我(无法|不能|没办法|没有办法)[直接](打开|访问|下载|上传|接收|读取|查看)[任何|您的|你的|这个](文件|附件|文档)",
        "没有看到[任何|您的|你的](附件|文件)",
    ],
    longest_query: None,
};
