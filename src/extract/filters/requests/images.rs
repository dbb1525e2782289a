//! Turns that need to see or make an image. Prompts for image generators, ASCII art and drawings by code are text.

use super::list::List;
use crate::extract::filters::Filter;

pub(super) const LIST: List = List {
    filter: Filter::Images,
    query: &[
        "(draw|paint|sketch) [me|us] (a|an|the|this|some) [_] [_] (picture|pictures|image|images|illustration|\
         portrait|photo|cartoon|logo|painting|landscape|cat|dog|tree|house|person|face|map|diagram)",
        "(draw|paint|sketch) (me|us) (a|an|the|some)",
        "(generate|create|make|produce|design|render|give me|show me|send me|show us|provide) [me|us] (a|an|the|some|\
         any) [_] [_] (image|images|picture|pictures|photo|photos|illustration|illustrations) (of|showing|that|with|\
         for|from)",
        "(generate|create|make|draw) [me|us] (images|pictures|photos|illustrations)",
        "show (me|us) (a|the|some|its|their|your|his|her) (picture|pictures|photo|photos|image|images)",
        "(describe|analyze|analyse|look at|see|explain|identify|read|caption) (this|the attached|the following) \
         (image|picture|photo|screenshot|photograph)",
        "(the|this|my) (attached|uploaded) (image|picture|photo|screenshot|photograph|diagram)",
        "(with the help of|from|in) the above-mentioned (image|picture|screenshot|figure)",
        "(image|picture|photo|screenshot) [that|which] i [have|just] (attached|uploaded|sent)",
        "what is (in|on) (this|the) (image|picture|photo|screenshot)",
        "(画|画出|绘制|生成|给我|发我)(一张|一幅|张|幅|一副)",
        "(帮我|给我|请|能)画[一](个|只|幅|张|些)",
        "(生成|制作)[一个|一些|这个](图片|图像|照片|插图)",
        "(这张|这幅|上传的|发给你的)(图|图片|照片|截图|图像)",
    ],
    except: &[
        "(prompt|prompts|midjourney|dall-e|dalle|stable diffusion)",
        "(ascii|svg|tikz|latex|mermaid|plantuml|graphviz|matplotlib|turtle|opengl|emoji|emojis|unicode|table|tables)",
        "(code|script|program|function|python|javascript|java|html|css|canvas|react|flutter|component|algorithm|url|\
         alt text|markdown)",
        "(story|stories|scene|novel|caption|captions|describe in words|in words|draw attention|draw conclusions)",
        "(提示词|代码|程序|脚本|函数|故事|网页|描述词|关键词|咒语)",
    ],
    response: &[
        "i (cannot|can't|can not|am unable to|am not able to) [directly|actually|physically] (see|view|display|show|\
         draw|paint|generate|create|produce|analyze|provide|share|plot|process|access) [you|any|actual|visual|the|an|\
         a|this|your|graphical] [visual] (image|images|picture|pictures|photo|photos|drawing|drawings|illustration|\
         illustrations|visuals|visual|screenshot|screenshots|diagrams|graphs|graphics)",
        "i'm (unable|not able) to [directly|actually|physically] (see|view|display|show|draw|paint|generate|create|\
         produce|analyze|provide|share|process|access) [you|any|actual|visual|the|an|a|this|your] (image|images|\
         picture|pictures|photo|photos|drawing|drawings|illustration|illustrations|visuals|screenshot|screenshots)",
        "i (do not|don't) have the (ability|capability|capabilities) to [directly|actually] (see|view|display|draw|\
         paint|generate|create) [any|visual|actual] (image|images|picture|pictures|drawings|visuals|illustrations|\
         photos)",
        "我(无法|不能|没办法|没有办法)[直接](画|绘制|绘画|生成|显示|查看|看到|展示|提供)[任何|您的|你的|这张|这个](图|图片|图像|照片|画|图形)",
    ],
    longest_query: None,
};
