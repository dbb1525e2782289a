//! Turns that need a tool, to run something, send something or act.

use super::list::List;
use crate::extract::filters::Filter;

pub(super) const LIST: List = List {
    filter: Filter::Tools,
    query: &[
        "(can|could|will|would) you [please] (run|execute) (this|that|it|the code|the script|the program|the command|\
         the query)",
        "please (run|execute) (this|the following) (code|script|program)",
        "(run|execute) (this|the following|the above|that) (code|script|program) (and|for me)",
        "(use|using|enable|activate|call) (the|your|a) [_] plugin",
        "(use|using) [the|your] code interpreter",
        "(use|using) [the|your] wolfram",
        "set (an|a) (alarm|reminder|timer) for",
        "remind me (to|in|at|on|about|tomorrow|every)",
        "(send|text|email) (it|this|that) to (me|my|him|her|them)",
        "(can|could|will|would) you [please] (call|phone|text|email|message) (me|him|her|them|my)",
        "book (me|us) (a|an|the)",
        "(order|buy) (me|us) (a|an|some)",
        "(use|with|access|connect to|check) my (computer|camera|microphone|calendar|inbox|email account)",
        "(运行|执行)[一下](这段|这个|下面的|以下|上面的)(代码|程序|脚本)",
        "(设|定|设置)(个|一个)(闹钟|提醒|定时器)",
        "提醒我",
        "(使用|调用|启用)(插件|工具|代码解释器)",
        "(发送|发|寄)[一封](邮件|短信)给我",
        "帮我(打电话|订票|订餐|下单)",
    ],
    // How something is run, or a program that does it, is a question like any other.
    except: &[
        "(how|where|when|why) (do|can|could|should|to|does|would)",
        "(code|script|program|function|app|bot|macro|command) (that|to|which|for|will)",
        "(write|create|make) (a|an|the|me|some) _",
        "(如何|怎么|怎样)",
        "(写|编写|实现)(一个|个|一段|段)",
    ],
    response: &[
        "i (cannot|can't|can not|am unable to|am not able to) [directly|actually] (run|execute) (code|programs|\
         scripts|commands|this|that|the|your)",
        "i'm (unable|not able) to [directly|actually] (run|execute) (code|programs|scripts|commands|this|that|the|\
         your)",
        "i (cannot|can't|am unable to|am not able to) [directly|actually|physically] (send|receive) (emails|messages|\
         texts|an email)",
        "i (cannot|can't|am unable to|am not able to) (make|place) [phone] calls",
        "i (cannot|can't|am unable to|am not able to) set (reminders|alarms|timers|a reminder|an alarm|a timer)",
        "i (do not|don't) have [direct] access to your (computer|device|account|accounts|system|files|calendar|emails|\
         email|screen)",
        "i (cannot|can't|am unable to|am not able to) [directly] (access|control) your (computer|device|account|\
         system|files|calendar|email|screen)",
        "i (cannot|can't|am unable to|am not able to) perform [any] (physical|real-world) (actions|tasks)",
        "我(无法|不能|没办法|没有办法)[直接](运行|执行)(代码|程序|脚本)",
        "我(无法|不能|没办法|没有办法)[直接](发送|接收)(邮件|短信|消息|电子邮件)",
        "我(无法|不能|没办法|没有办法)[直接](拨打|打)电话",
        "我(无法|不能|没办法|没有办法)[直接](访问|控制)[您|你]的(电脑|设备|账户)",
    ],
    longest_query: None,
};
