"""Embedding models: facts from their authors' model cards."""

from datetime import date

from portal.management.demo.shapes import EMBEDDING_PARAMETERS, DemoModel

_MANY = ("en", "zh", "es", "fr", "de", "pt", "ru", "ar", "ja", "ko", "vi", "th", "id", "hi")
_TASKS = ("semantic_search", "knowledge_base", "deduplication")

EMBEDDING_MODELS = (
    DemoModel(
        handle="intfloat/multilingual-e5-small",
        name="Multilingual E5 Small",
        family="E5",
        author="Microsoft (intfloat)",
        modality="embedding",
        released_on=date(2023, 6, 30),
        licence_spdx="MIT",
        context_length=512,
        parameters_millions=118,
        languages=_MANY,
        tasks=_TASKS,
        industries=("retail", "education", "services"),
        summary_en=(
            "Turns short texts of about a hundred languages into 384 numbers, so that a search "
            "finds what is meant. Begin texts with “query: ” or “passage: ”."
        ),
        summary_zh=(
            "把约一百种语言的短文本转换为 384 维向量，让搜索找到语义相近的内容。"
            "文本须以 “query: ” 或 “passage: ” 开头。"
        ),
        parameters=EMBEDDING_PARAMETERS,
    ),
    DemoModel(
        handle="baai/bge-m3",
        name="BGE-M3",
        family="BGE",
        author="BAAI",
        modality="embedding",
        released_on=date(2024, 1, 30),
        licence_spdx="MIT",
        context_length=8_192,
        parameters_millions=568,
        languages=_MANY,
        tasks=_TASKS,
        industries=("legal", "finance", "public_sector"),
        summary_en=(
            "Search across more than a hundred languages, from single questions to documents of "
            "many pages. The usual choice for a company's knowledge base."
        ),
        summary_zh="支持一百多种语言的检索，从单个问题到多页文档皆可，是企业知识库的常用之选。",
        parameters=EMBEDDING_PARAMETERS,
    ),
    DemoModel(
        handle="qwen/qwen3-embedding-8b",
        name="Qwen3 Embedding 8B",
        family="Qwen",
        author="Alibaba Qwen",
        modality="embedding",
        released_on=date(2025, 6, 5),
        licence_spdx="Apache-2.0",
        context_length=32_768,
        parameters_millions=7_570,
        languages=_MANY,
        tasks=_TASKS,
        industries=("software", "legal", "manufacturing"),
        summary_en=(
            "A large embedding model for demanding search: long documents, code, and questions "
            "in one language about texts in another."
        ),
        summary_zh="面向高要求检索的大型向量模型：长文档、代码，以及跨语言提问与检索。",
        parameters=EMBEDDING_PARAMETERS,
    ),
)
