# SPDX-License-Identifier: MIT
"""desktop.py: a desktop on display :0 that comes out the same each time, and stays.

A window manager and some of X's own programs; above them a canvas that draws one panel for each
kind of thing an X server draws, scrolls some, and is then moved into its place step by step.
"""
import os
import random
import subprocess
import time

from Xlib import X, display

TWMRC = """
NoDefaults
RandomPlacement
DecorateTransients
NoGrabServer
BorderWidth 2
TitleFont "fixed"
MenuFont "fixed"
IconFont "fixed"
ResizeFont "fixed"
IconManagerFont "fixed"
Color {
	BorderColor "#3d5a80"
	BorderTileForeground "#3d5a80"
	BorderTileBackground "#3d5a80"
	TitleBackground "#3d5a80"
	TitleForeground "#ffffff"
	DefaultBackground "#e0e6ed"
	DefaultForeground "#1b263b"
}
"""
LETTER = """\033[1;36mA desktop on a vGPU\033[0m

X.Org with the intel driver. What is filled, copied and
scrolled here, the blitter of a software Gen9 GPU does.
\033[33m
    +-------+   +------+   +---------+
    | guest |-->| i915 |-->| mediant |
    +-------+   +------+   +---------+
\033[0m
"""
TYPED = "seq -s ' ' 1 300; clear; cat /run/mediant/letter; exec sleep 1000"
FONT = "9x15"
PROGRAMS = (
    ("terminal", "xterm", "-geometry", "58x12+28+40", "-bg", "#1b263b", "-fg", "#e0e1dd",
     "-fn", FONT, "-title", "terminal", "-e", "sh", "-c", TYPED),
    ("mailbox", "xbiff", "-geometry", "150x150+836+40", "-bg", "#f4f1de", "-fg", "#e07a5f",
     "-title", "mailbox"),
    ("logo", "xlogo", "-geometry", "150x150+660+40", "-bg", "#f4f1de", "-fg", "#81b29a",
     "-title", "logo"),
    ("calculator", "xcalc", "-geometry", "226x304+740+400", "-title", "calculator"),
    ("eyes", "xeyes", "-geometry", "150x100+600+260", "-center", "#f4f1de", "-title", "eyes"),
)
INK, PAPER = 0x3d405b, 0xf4f1de
PAINTS = (0xe07a5f, 0x81b29a, 0xf2cc8f, 0x3d5a80, 0x98c1d9, 0xee6c4d)
PANEL, GAP, LABEL = (128, 92), 8, 16


def connect():
    """The screen of the server, when it has come up."""
    while not os.path.exists("/tmp/.X11-unix/X0"):
        time.sleep(0.1)
    os.environ["DISPLAY"] = ":0"
    connection = display.Display(":0")
    screen = connection.screen()
    screen.display = connection
    return screen


def names(window):
    """Every window below @window that has a name and can be seen, by name."""
    found = {}
    for child in window.query_tree().children:
        found.update(names(child))
        name = child.get_wm_name()
        if name and child.get_attributes().map_state == X.IsViewable:
            found[name] = child
    return found


class Canvas:
    def __init__(self, screen, x, y):
        self.screen, self.random = screen, random.Random(9)
        self.width = 3 * PANEL[0] + 4 * GAP
        self.height = 3 * (PANEL[1] + LABEL) + 4 * GAP
        self.window = screen.root.create_window(
            x, y, self.width, self.height, 2, screen.root_depth, override_redirect=1,
            background_pixel=PAPER, border_pixel=INK)
        self.window.map()
        self.panels = 0

    def gc(self, at, **values):
        """A graphics context that draws inside the panel at @at only."""
        gc = self.window.create_gc(graphics_exposures=0, **values)
        gc.set_clip_rectangles(*at, [(0, 0, *PANEL)], X.Unsorted)
        return gc

    def panel(self, label):
        """The next panel's corner."""
        column, row = self.panels % 3, self.panels // 3
        self.panels += 1
        x, y = GAP + column * (PANEL[0] + GAP), GAP + row * (PANEL[1] + LABEL + GAP)
        gc = self.window.create_gc(foreground=INK, background=PAPER)
        self.window.image_text(gc, x, y + PANEL[1] + 13, label)
        gc.change(foreground=0xffffff)
        self.window.poly_fill_rectangle(gc, [(x, y, *PANEL)])
        return x, y

    def places(self, at, count, width, height):
        """@count rectangles about the panel, some of them reaching over its edges."""
        return [(at[0] + self.random.randint(-8, PANEL[0] - 8),
                 at[1] + self.random.randint(-8, PANEL[1] - 8),
                 self.random.randint(1, width), self.random.randint(1, height))
                for _ in range(count)]

    def bits(self, width, height):
        """A bitmap with a random pattern."""
        pixmap = self.window.create_pixmap(width, height, 1)
        gc = pixmap.create_gc(foreground=0)
        pixmap.poly_fill_rectangle(gc, [(0, 0, width, height)])
        gc.change(foreground=1)
        pixmap.poly_point(gc, X.CoordModeOrigin, [
            (self.random.randrange(width), self.random.randrange(height))
            for _ in range(width * height // 2)])
        return pixmap

    def swatch(self, width, height):
        """A pixmap of coloured stripes."""
        pixmap = self.window.create_pixmap(width, height, self.screen.root_depth)
        gc = pixmap.create_gc()
        for x in range(0, width, 4):
            gc.change(foreground=self.random.choice(PAINTS))
            pixmap.poly_fill_rectangle(gc, [(x, 0, 4, height)])
        gc.change(foreground=INK, line_width=2)
        pixmap.poly_segment(gc, [(0, 0, width - 1, height - 1), (0, height - 1, width - 1, 0)])
        return pixmap

    def fills(self):
        at = self.panel("fills, 16 functions")
        for function in range(16):
            gc = self.gc(at, foreground=PAINTS[function % 6], function=function)
            self.window.poly_fill_rectangle(gc, self.places(at, 6, 40, 30))

    def tiles(self):
        at = self.panel("tiles")
        for width, height in ((8, 8), (16, 12), (24, 40)):
            gc = self.gc(at, fill_style=X.FillTiled, tile=self.swatch(width, height),
                         tile_stipple_x_origin=at[0] + 3, tile_stipple_y_origin=at[1] + 5)
            self.window.poly_fill_rectangle(gc, self.places(at, 5, 60, 50))

    def stipples(self):
        at = self.panel("stipples")
        for style in (X.FillStippled, X.FillOpaqueStippled):
            for size in (8, 13):
                gc = self.gc(at, foreground=self.random.choice(PAINTS), background=PAPER,
                             fill_style=style, stipple=self.bits(size, size))
                self.window.poly_fill_rectangle(gc, self.places(at, 4, 60, 50))

    def lines(self):
        """Of the slanted ones only wide ones: of thin ones, for which X leaves the pixels open, the
        driver omits the last pixel where the GPU draws them, and the server does not."""
        at = self.panel("lines and arcs")
        for paint in PAINTS:
            gc = self.gc(at, foreground=paint, line_width=self.random.choice((0, 2, 3)))
            for x, y, width, height in self.places(at, 2, 60, 50):
                self.window.poly_segment(gc, [(x, y, x + width, y), (x, y, x, y + height)])
            gc.change(line_width=self.random.choice((2, 3)))
            ends = [place[:2] for place in self.places(at, 6, 1, 1)]
            self.window.poly_line(gc, X.CoordModeOrigin, ends)
            gc.change(line_width=self.random.choice((0, 1, 3)))
            self.window.poly_arc(gc, [(*place, 0, 360 * 64)
                                      for place in self.places(at, 3, 60, 50)])

    def polygons(self):
        at = self.panel("polygons")
        for paint in PAINTS:
            gc = self.gc(at, foreground=paint)
            corners = [place[:2] for place in self.places(at, 4, 1, 1)]
            self.window.fill_poly(gc, X.Complex, X.CoordModeOrigin, corners)
            self.window.poly_fill_arc(gc, [(*place, 0, 300 * 64)
                                           for place in self.places(at, 1, 50, 50)])

    def text(self):
        at = self.panel("text")
        for row in range(6):
            gc = self.gc(at, foreground=PAINTS[row], background=INK)
            draw = self.window.image_text if row % 2 else self.window.draw_text
            draw(gc, at[0] + 4 * row - 8, at[1] + 12 + 15 * row, "Sphinx of black quartz, judge")

    def images(self):
        at = self.panel("images and planes")
        gc = self.gc(at, foreground=PAINTS[0], background=PAINTS[4])
        width, height = 61, 40
        data = b"".join(bytes((x * 4 & 255, y * 6 & 255, (x ^ y) * 4 & 255, 0))
                        for y in range(height) for x in range(width))
        self.window.put_image(gc, at[0] + 4, at[1] + 4, width, height, X.ZPixmap,
                              self.screen.root_depth, 0, data)
        self.window.copy_plane(gc, self.bits(53, 37), 0, 0, 53, 37, at[0] + 70, at[1] + 6, 1)
        swatch = self.swatch(100, 40)
        for function in (X.GXcopy, X.GXxor, X.GXandInverted):
            gc.change(function=function)
            self.window.copy_area(gc, swatch, 7, 5, 90, 33, at[0] + 9 + 7 * function, at[1] + 50)

    def scrolling(self):
        at = self.panel("scrolled")
        gc = self.gc(at)
        self.window.copy_area(gc, self.swatch(*PANEL), 0, 0, *PANEL, *at)
        for _ in range(12):
            for dx, dy in ((0, -7), (0, 3), (-5, 0), (9, 0), (2, 2), (-1, -3)):
                self.window.copy_area(gc, self.window, at[0], at[1], *PANEL, at[0] + dx,
                                      at[1] + dy)

    def copies(self):
        at = self.panel("copied from above")
        gc = self.gc(at)
        for number in range(6):
            column, row = number % 3, number // 3
            self.window.copy_area(
                gc, self.window, GAP + column * (PANEL[0] + GAP) + 11,
                GAP + row * (PANEL[1] + LABEL + GAP) + 7, 41, 45, at[0] + 1 + 43 * column,
                at[1] + 1 + 46 * row)

    def draw(self):
        for kind in (self.fills, self.tiles, self.stipples, self.lines, self.polygons, self.text,
                     self.images, self.scrolling, self.copies):
            kind()


def move(window, start, end, steps):
    """Step by step, each a copy of the window onto itself."""
    for step in range(1, steps + 1):
        window.configure(x=start[0] + (end[0] - start[0]) * step // steps,
                         y=start[1] + (end[1] - start[1]) * step // steps)


def main():
    with open("/run/mediant/letter", "w") as file:
        file.write(LETTER)
    with open("/run/mediant/twmrc", "w") as file:
        file.write(TWMRC)
    screen = connect()
    subprocess.run(["xsetroot", "-mod", "16", "16", "-fg", "#2f4a6b", "-bg", "#35537a"], check=True)
    for argv in (("twm", "-f", "/run/mediant/twmrc"), *(words[1:] for words in PROGRAMS)):
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    wanted = {words[0] for words in PROGRAMS}
    while not wanted <= set(names(screen.root)):
        time.sleep(0.1)
    canvas = Canvas(screen, 300, 120)
    canvas.draw()
    move(canvas.window, (300, 120), (24, 396), 23)
    move(names(screen.root)["calculator"], (740, 400), (520, 430), 11)
    screen.display.set_close_down_mode(X.RetainPermanent)
    screen.display.sync()
    print("drawn")


main()
