"""What models are used for, and how they are served."""

from django.utils.translation import gettext_lazy as _

from marketplace.catalog.vocabulary.terms import Term, by_code

MODALITIES = by_code(
    Term("chat", _("Chat and text"), "chat text completion llm 对话 聊天 文本 大模型"),
    Term("embedding", _("Embeddings"), "embedding embeddings vector 向量 嵌入 词向量"),
)

TASKS = by_code(
    Term(
        "customer_service",
        _("Customer service"),
        "customer service support helpdesk ticket reply chatbot 客服 客户服务 工单 智能客服",
    ),
    Term("writing", _("Writing and editing"), "writing copy edit e-mail 写作 文案 润色 邮件"),
    Term("summarising", _("Summaries"), "summary summarise summarize minutes 摘要 总结 会议纪要"),
    Term("translation", _("Translation"), "translation translate multilingual 翻译 多语言 译文"),
    Term(
        "extraction",
        _("Data extraction"),
        "extraction extract invoice json structured fields 抽取 提取 结构化 发票 信息抽取",
    ),
    Term("classification", _("Classification"), "classify label sentiment route 分类 打标 情感"),
    Term("reasoning", _("Reasoning and analysis"), "reasoning analysis thinking 推理 分析 思考"),
    Term("mathematics", _("Mathematics"), "mathematics math calculation 数学 计算"),
    Term("coding", _("Programming"), "coding code programming developer 编程 代码 开发"),
    Term("agents", _("Agents and tools"), "agent tool function calling 智能体 工具 函数调用"),
    Term("vision", _("Images and documents"), "vision image ocr document 图像 视觉 图片 识图"),
    Term(
        "long_documents", _("Long documents"), "long document context contract 长文本 长文档 合同"
    ),
    Term(
        "semantic_search",
        _("Semantic search"),
        "semantic search similarity 语义搜索 语义检索 搜索 相似度",
    ),
    Term(
        "knowledge_base",
        _("Knowledge base (RAG)"),
        "rag retrieval knowledge base question answering 知识库 检索增强 问答",
    ),
    Term(
        "deduplication",
        _("Matching and duplicates"),
        "matching duplicates clustering 去重 聚类 匹配",
    ),
)

INDUSTRIES = by_code(
    Term("retail", _("Retail and e-commerce"), "retail shop e-commerce ecommerce 零售 电商"),
    Term("manufacturing", _("Manufacturing"), "manufacturing factory industry 制造 工厂 工业"),
    Term("logistics", _("Logistics"), "logistics transport shipping 物流 运输 供应链"),
    Term(
        "finance", _("Finance and accounting"), "finance accounting insurance 金融 会计 财务 保险"
    ),
    Term("legal", _("Legal"), "legal law contract 法律 律师 合同"),
    Term("healthcare", _("Health care"), "health care medical clinic 医疗 健康 诊所"),
    Term("education", _("Education"), "education training school 教育 培训 学校"),
    Term("hospitality", _("Travel and hospitality"), "travel hotel restaurant 旅游 酒店 餐饮"),
    Term("media", _("Marketing and media"), "marketing media advertising 营销 媒体 广告"),
    Term("software", _("Software"), "software it saas 软件 信息技术"),
    Term("public_sector", _("Public sector"), "public sector government 政务 政府 公共"),
    Term("services", _("Professional services"), "consulting professional services 咨询 专业服务"),
)


def context_label(tokens: int) -> str:
    """A context length as the trade writes it: 512, 8K, 128K, 1M."""
    for size, letter in ((1_048_576, "M"), (1_000_000, "M"), (1_024, "K"), (1_000, "K")):
        if tokens >= size and tokens % size == 0:
            return f"{tokens // size}{letter}"
    return f"{tokens:,}" if tokens < 1_024 else f"{round(tokens / 1_024)}K"


# Bits per weight as served; fewer bits run cheaper and answer a little less exactly.
QUANTISATIONS = by_code(
    Term("fp32", "FP32"),
    Term("bf16", "BF16"),
    Term("fp16", "FP16"),
    Term("fp8", "FP8"),
    Term("int8", "INT8"),
    Term("fp4", "FP4"),
    Term("mxfp4", "MXFP4"),
    Term("int4", "INT4"),
    Term("unknown", _("Not stated")),
)
# "unknown" has none: it says nothing.
QUANTISATION_BITS = {
    "fp32": 32, "bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "fp4": 4, "mxfp4": 4, "int4": 4,
}  # fmt: skip
