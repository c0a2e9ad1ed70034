"""Template tags with a body: ``{% capture %}`` and ``{% card %}``; registered by ``components``."""

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.utils.safestring import SafeString

CARD_DEFAULTS = {"title": "", "id": "", "url": "", "action": "", "lead": "", "level": ""}


class CaptureNode(template.Node):
    """Renders its body into a variable of the surrounding context."""

    def __init__(self, nodes: NodeList, name: str) -> None:
        self.nodes = nodes
        self.name = name

    def render(self, context: Context) -> SafeString:
        context[self.name] = SafeString(self.nodes.render(context).strip())
        return SafeString("")


def capture(parser: Parser, token: Token) -> CaptureNode:
    """``{% capture name %}…{% endcapture %}``: a block's text for use in more than one place."""
    try:
        _, name = token.split_contents()
    except ValueError as error:
        raise template.TemplateSyntaxError("capture takes one variable name") from error
    nodes = parser.parse(("endcapture",))
    parser.delete_first_token()
    return CaptureNode(nodes, name)


class CardNode(template.Node):
    """A titled box around its body."""

    def __init__(self, nodes: NodeList, options: dict[str, FilterExpression]) -> None:
        self.nodes = nodes
        self.options = options

    def render(self, context: Context) -> SafeString:
        options = {name: value.resolve(context) for name, value in self.options.items()}
        assert context.template  # a node is only rendered inside a template
        box = context.template.engine.get_template("components/card.html")
        with context.push(**{**CARD_DEFAULTS, **options}, body=self.nodes.render(context)):
            return box.render(context)


def card(parser: Parser, token: Token) -> CardNode:
    """``{% card title=_("Lots") id="lots" url=… action=_("Buy tokens") %}…{% endcard %}``."""
    bits = token.split_contents()[1:]
    options = token_kwargs(bits, parser)
    if bits or set(options) - set(CARD_DEFAULTS):
        raise template.TemplateSyntaxError(f"card does not know {bits or sorted(options)}")
    nodes = parser.parse(("endcard",))
    parser.delete_first_token()
    return CardNode(nodes, options)
