//! Turns that need the web, or current facts.

use super::list::List;
use crate::extract::filters::Filter;

pub(super) const LIST: List = List {
    filter: Filter::Search,
    query: &[
        "(search|browse|surf) [on] (the|in the|on the|through the) (web|internet)",
        "(search|look up|check) [it|this|that|them] online",
        "look [it|this|that|them] up online",
        "(search|look up|check) (google|bing|baidu|wikipedia|youtube|reddit|twitter)",
        "google (it|this) for me",
        "please google",
        "(open|visit|go to|read|access|browse|summarize|summarise|check|analyze|analyse|look at|review|translate) \
         (this|the following|that|these) (link|links|url|urls|website|webpage|web page|site)",
        "(summarize|summarise|open|visit|read|access|browse|check out|explain|analyze|analyse|go to|look at|review|\
         rewrite|exploring) [this|the] [website|webpage|article|page|site|link|url|video] [at|from|on|in] (https|http)",
        "(latest|today's|this week's|yesterday's|breaking|current) (news|headlines|weather|stock price|stock prices|\
         exchange rate|exchange rates|score|scores)",
        "(latest|recent) news (on|about|from|in|of)",
        "as of (today|now|this moment)",
        "what is (today's|the current|the latest) (date|time|weather|temperature|price|news|exchange rate|stock price|\
         score)",
        "what (day|date|time) is (it|today)",
        "(weather|temperature|forecast) (today|tomorrow|right now|this week|this weekend)",
        "what is the weather (in|like|for)",
        "(current|live|real-time|real time) (price|prices|stock price|exchange rate|value) of",
        "(上网|网上|在网上|联网)(搜|查|搜索|查找|查询)",
        "(百度|谷歌|搜索引擎)(一下|搜索|查)",
        "(打开|访问|浏览|阅读|总结|读取)[一下](这个|该|以下|下面的)(链接|网址|网站|网页)",
        "(今天|今日|现在|明天)[的](天气|新闻|日期|股价|汇率|几号|几点)",
        "(最新|最近|今日)[的](新闻|消息|资讯|股价|汇率)",
    ],
    // Programs search and show the date too, and so do texts that someone wants written.
    except: &[
        "(code|script|program|function|python|javascript|java|php|html|sql|app|bot|api|excel|formula|macro)",
        "(how|where) (do|can|could|should|to|would) (i|we|you|they|one)",
        "(story|essay|poem|song|dialogue|roleplay|novel|scene)",
        "(代码|程序|脚本|函数|故事|小说|作文)",
    ],
    response: &[
        "i (cannot|can't|can not|am unable to|am not able to) [directly|actually] (browse|search|access|visit|open|\
         read|view|click on|retrieve|see) [the|any|to the|on the] [specific|external] (internet|web|websites|website|\
         webpages|urls|url|links|link|online|content of|information from the internet)",
        "i (cannot|can't|can not|am unable to|am not able to) [directly|actually] (access|retrieve|see) [the|\
         any] (external|current|live|real-time|latest) (data|news|information)",
        "i'm (unable|not able) to [directly|actually] (browse|search|access|visit|open|read|view) [the|any] [specific|\
         external] (internet|web|websites|website|webpages|urls|url|links|link|online)",
        "(do not|don't) have [direct|the ability to|the capability to] [access to|access|browse|\
         search] [the] (internet|real-time information|real-time data|real time information|real time data|\
         current data|current information|live data|up-to-date information|web|latest news|current news)",
        "(cannot|can't|unable to|not able to) (provide|give|offer|access) [you|with|you with] [the|any] (real-time|\
         real time|up-to-date|current|live|latest) [_] (information|data|news|updates|weather|prices|price|rates)",
        "我(无法|不能|没办法|没有办法)[直接](访问|浏览|搜索|打开|连接|联网|查看)[任何|外部|到|该|这个](互联网|网络|网页|网站|链接|网址|实时)",
        "(无法|不能)(提供|获取|访问)[最新的|最新|当前的](实时|最新)[的](信息|数据|新闻|资讯|天气)",
    ],
    longest_query: None,
};
