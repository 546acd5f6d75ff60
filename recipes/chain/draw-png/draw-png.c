/* Draws a picture with libpng into the file that it is given, reads it again, and packs the same pixels with zlib. */

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { WIDTH = 320, HEIGHT = 200, BYTES = WIDTH * HEIGHT * 3 };

static int fail(const char *what)
{
    fprintf(stderr, "draw-png: %s\n", what);
    return EXIT_FAILURE;
}

/* Rings around the middle. */
static void draw(unsigned char *pixels)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int dx = x - WIDTH / 2, dy = y - HEIGHT / 2, far = (dx * dx + dy * dy) / 64;
            unsigned char *pixel = pixels + (y * WIDTH + x) * 3;
            pixel[0] = (unsigned char)(far & 255);
            pixel[1] = (unsigned char)(x * 255 / WIDTH);
            pixel[2] = (unsigned char)(y * 255 / HEIGHT);
        }
}

static int write_png(const char *path, const unsigned char *pixels)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT, .format = PNG_FORMAT_RGB };
    return png_image_write_to_file(&image, path, 0, pixels, 0, NULL);
}

static int read_png(const char *path, unsigned char *pixels)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    if (!png_image_begin_read_from_file(&image, path))
        return 0;
    if (image.width != WIDTH || image.height != HEIGHT) {
        png_image_free(&image);
        return 0;
    }
    image.format = PNG_FORMAT_RGB;
    return png_image_finish_read(&image, NULL, pixels, 0, NULL);
}

int main(int argc, char **argv)
{
    static unsigned char drawn[BYTES], found[BYTES], packed[BYTES + BYTES / 100 + 64];
    uLongf length = sizeof packed;

    if (argc != 2)
        return fail("the file to write is missing");
    printf("libpng %s (built with %s), zlib %s (built with %s)\n", png_get_libpng_ver(NULL), PNG_LIBPNG_VER_STRING,
           zlibVersion(), ZLIB_VERSION);
    if (strcmp(png_get_libpng_ver(NULL), PNG_LIBPNG_VER_STRING) || strcmp(zlibVersion(), ZLIB_VERSION))
        return fail("what it runs with is not what it was built with");
    draw(drawn);
    if (!write_png(argv[1], drawn))
        return fail("cannot write the picture");
    if (!read_png(argv[1], found) || memcmp(drawn, found, sizeof drawn))
        return fail("what is read is not what was written");
    if (compress(packed, &length, drawn, sizeof drawn) != Z_OK)
        return fail("cannot pack the pixels");
    printf("%s: %d x %d, %d bytes of pixels, %lu packed\n", argv[1], WIDTH, HEIGHT, (int)BYTES, (unsigned long)length);
    return EXIT_SUCCESS;
}
