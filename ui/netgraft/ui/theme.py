"""The page's theme. Fonts are the system's: nothing is loaded from other hosts."""

from pathlib import Path

import gradio as gr

STYLE = Path(__file__).with_name("style.css")

SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Return the theme: one green for what can be clicked, greys for the rest."""
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=SANS,
        font_mono=MONO,
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        block_border_width="1px",
        block_shadow="none",
        # Gradio's default greys and greens have too little contrast to be read easily.
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


HEAD = """<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
viewBox='0 0 32 32'%3E%3Cpath d='M16 30V14M16 20c-7 0-10-4-10-10 6 0 10 3 10 9M16 15c0-7 4-11 \
10-11 0 7-3 11-10 12' fill='none' stroke='%230f766e' stroke-width='3' \
stroke-linecap='round'/%3E%3C/svg%3E">"""
"""The page's icon: a shoot on a stem."""
