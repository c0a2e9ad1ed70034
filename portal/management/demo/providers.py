"""Invented providers. None of them is a real company."""

from portal.management.demo.shapes import DemoProvider

PROVIDERS = (
    DemoProvider(
        slug="rhein-compute",
        name="Rhein Compute",
        country="DE",
        timezone="Europe/Berlin",
        summary_en=(
            "A demonstration provider from Frankfurt: European data centres, nothing kept, and "
            "prices in the middle of the market."
        ),
        summary_zh="演示用服务商，位于法兰克福：欧洲数据中心，不留存任何数据，价格居中。",
    ),
    DemoProvider(
        slug="harbour-ai",
        name="Harbour AI",
        country="SG",
        timezone="Asia/Singapore",
        summary_en=(
            "A demonstration provider from Singapore: low prices for Asia, and prompts kept for "
            "a week to find faults."
        ),
        summary_zh="演示用服务商，位于新加坡：面向亚洲的低价服务，提示词保留一周用于排查故障。",
    ),
    DemoProvider(
        slug="prairie-gpu",
        name="Prairie GPU",
        country="US",
        timezone="America/Chicago",
        summary_en=(
            "A demonstration provider from the American Midwest: full precision and long "
            "contexts, at a price."
        ),
        summary_zh="演示用服务商，位于美国中西部：全精度、长上下文，价格较高。",
    ),
    DemoProvider(
        slug="huangpu-cloud",
        name="Huangpu Cloud",
        country="CN",
        timezone="Asia/Shanghai",
        summary_en="A demonstration provider from Shanghai: Chinese open models, served in China.",
        summary_zh="演示用服务商，位于上海：在中国境内提供国产开放模型。",
    ),
    DemoProvider(
        slug="fjord-inference",
        name="Fjord Inference",
        country="NO",
        timezone="Europe/Oslo",
        summary_en=(
            "A demonstration provider from Norway: hydropower, northern data centres, and "
            "nothing kept."
        ),
        summary_zh="演示用服务商，位于挪威：水电供能，北欧数据中心，不留存任何数据。",
    ),
)
